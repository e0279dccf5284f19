#include "runtime/reference/router_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/reference/router_scores.hpp"
#include "runtime/reference/unpack_row.hpp"

namespace moe_tune {

namespace {

/// A token's logits, its experts, and the gradients of their weights.
struct Token {
  RouterKind kind;
  std::vector<double> logits;
  std::span<const int> chosen;
  std::vector<double> d_weights;

  bool exists(std::size_t choice) const {
    return chosen[choice] >= 0 && static_cast<std::size_t>(chosen[choice]) < logits.size();
  }
  std::size_t expert(std::size_t choice) const { return static_cast<std::size_t>(chosen[choice]); }

  /// Of every logit; `sign` 1: of the absolute values of the terms.
  std::vector<double> gradient(int sign) const {
    const std::vector<double> weights = weights_of_selection(kind, logits, chosen);
    const double mean = sign * std::inner_product(weights.begin(), weights.end(), d_weights.begin(), 0.0);
    std::vector<double> result(logits.size());
    if (kind == RouterKind::softmax) {
      for (std::size_t c = 0; c < chosen.size(); ++c) {
        if (exists(c)) result[expert(c)] += d_weights[c];
      }
      const std::vector<double> scores = router_scores(kind, logits);
      for (std::size_t e = 0; e < result.size(); ++e) result[e] = scores[e] * (result[e] + mean);
      return result;
    }
    for (std::size_t c = 0; c < chosen.size(); ++c) {
      if (!exists(c)) continue;
      result[expert(c)] += kind == RouterKind::sigmoid ? d_weights[c] / (1 + std::exp(logits[expert(c)]))  // 1 - w
                                                       : weights[c] * (d_weights[c] + mean);
    }
    return result;
  }

  Token of_absolute_values() const {
    Token token = *this;
    for (double& value : token.d_weights) value = std::abs(value);
    return token;
  }
};

/// Those of slots of local experts; 0 elsewhere.
std::vector<double> local_d_weights(const RouterProblem& problem, std::span<const int> chosen, const float* d_weights) {
  std::vector<double> result(chosen.size());
  for (std::size_t c = 0; c < chosen.size(); ++c) {
    if (chosen[c] < problem.first_expert || chosen[c] - problem.first_expert >= local_experts(problem)) continue;
    result[c] = d_weights[c];
  }
  return result;
}

void add_row(std::span<double> sums, double scale, std::span<const double> row) {
  for (std::size_t i = 0; i < row.size(); ++i) sums[i] += scale * row[i];
}

}  // namespace

RouterGradientReference reference_router_gradient(const RouterProblem& problem, const abi::RouterGradientArgs& args) {
  RouterGradientReference result;
  const int given = args.token_count == nullptr ? args.tokens : *args.token_count;
  result.tokens = std::clamp(given, 0, args.tokens);
  if (given != result.tokens) result.status |= abi::status_bad_token_count;
  const auto top_k = static_cast<std::size_t>(problem.top_k);
  const std::int64_t row_bytes = std::int64_t{problem.E} * 2;
  for (int t = 0; t < result.tokens; ++t) {
    const std::size_t slot = static_cast<std::size_t>(t) * top_k;
    const std::span<const int> chosen(args.selected_experts + slot, top_k);
    const Token token{problem.kind, unpack_row<double>(args.router_logits, t, row_bytes, problem.E, problem.dtype), chosen,
                      local_d_weights(problem, chosen, args.d_topk_weights + slot)};
    for (std::size_t c = 0; c < top_k; ++c) {
      if (!token.exists(c)) result.status |= abi::status_bad_selected_expert;
    }
    std::vector<double> others(static_cast<std::size_t>(problem.E));
    if (args.d_router_logits != nullptr)
      others = unpack_row<double>(args.d_router_logits, t, row_bytes, problem.E, problem.dtype);
    const std::vector<double> gradient = token.gradient(-1);
    const std::vector<double> magnitude = token.of_absolute_values().gradient(1);
    for (std::size_t e = 0; e < others.size(); ++e) {
      result.d_logits.push_back(gradient[e] + others[e]);
      result.magnitudes.push_back(magnitude[e] + std::abs(others[e]));
    }
  }
  return result;
}

std::vector<float> reference_d_hidden_states(const RouterProblem& problem, const abi::RouterGradientArgs& args,
                                             std::span<const double> d_logits) {
  const auto E = static_cast<std::size_t>(problem.E);
  std::vector<std::vector<double>> weight;
  for (int e = 0; e < problem.E; ++e)
    weight.push_back(unpack_row<double>(args.weight, e, std::int64_t{problem.H} * 2, problem.H, problem.dtype));
  std::vector<float> result;
  for (std::size_t t = 0; t < d_logits.size() / E; ++t) {
    std::vector<double> row(static_cast<std::size_t>(problem.H));
    for (std::size_t e = 0; e < E; ++e) add_row(row, d_logits[t * E + e], weight[e]);
    result.insert(result.end(), row.begin(), row.end());
  }
  return result;
}

std::vector<float> reference_d_weight(const RouterProblem& problem, const abi::RouterGradientArgs& args,
                                      std::span<const double> d_logits) {
  const auto E = static_cast<std::size_t>(problem.E);
  const auto H = static_cast<std::size_t>(problem.H);
  std::vector<double> sums(E * H);
  if (args.accumulate && args.d_weight_float32) {
    const auto* old = static_cast<const float*>(args.d_weight);
    sums.assign(old, old + sums.size());
  } else if (args.accumulate) {
    sums = unpack_row<double>(args.d_weight, 0, 0, problem.E * problem.H, problem.dtype);
  }
  for (std::size_t t = 0; t < d_logits.size() / E; ++t) {
    const auto x = unpack_row<double>(args.hidden_states, static_cast<std::int64_t>(t), std::int64_t{problem.H} * 2, problem.H,
                                      problem.dtype);
    for (std::size_t e = 0; e < E; ++e) add_row(std::span(sums).subspan(e * H, H), d_logits[t * E + e], x);
  }
  return {sums.begin(), sums.end()};
}

}  // namespace moe_tune
