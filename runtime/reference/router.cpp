#include "runtime/reference/router.hpp"

#include <algorithm>
#include <span>

#include "runtime/reference/router_scores.hpp"
#include "runtime/reference/unpack_row.hpp"

namespace moe_tune {

std::vector<float> reference_router_logits(const RouterProblem& problem, const abi::RouterArgs& args) {
  const std::int64_t row_bytes = std::int64_t{problem.H} * 2;
  std::vector<std::vector<double>> weight;
  for (int expert = 0; expert < problem.E; ++expert)
    weight.push_back(unpack_row<double>(args.weight, expert, row_bytes, problem.H, problem.dtype));
  std::vector<float> logits;
  for (int token = 0; token < args.tokens; ++token) {
    const auto x = unpack_row<double>(args.hidden_states, token, row_bytes, problem.H, problem.dtype);
    for (const std::vector<double>& w : weight) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * w[i];
      logits.push_back(static_cast<float>(sum));
    }
  }
  return logits;
}

RouterReference reference_route(const RouterProblem& problem, const abi::RouterArgs& args) {
  RouterReference result;
  const int given = args.token_count == nullptr ? args.tokens : *args.token_count;
  result.tokens = std::clamp(given, 0, args.tokens);
  if (given != result.tokens) result.status |= abi::status_bad_token_count;
  const auto top_k = static_cast<std::size_t>(problem.top_k);
  for (int token = 0; token < result.tokens; ++token) {
    const auto logits = unpack_row<double>(args.router_logits, token, std::int64_t{problem.E} * 2, problem.E, problem.dtype);
    std::vector<std::int32_t> chosen = select_experts(problem.kind, logits, problem.top_k);
    if (args.inject) chosen.assign(args.selected_experts + token * top_k, args.selected_experts + (token + 1) * top_k);
    for (const double weight : weights_of_selection(problem.kind, logits, chosen)) result.topk_weights.push_back(weight);
    for (const std::int32_t expert : chosen) {
      if (expert < 0 || expert >= problem.E) result.status |= abi::status_bad_selected_expert;
      result.selected_experts.push_back(expert);
    }
  }
  result.slot_rows.assign(static_cast<std::size_t>(args.tokens) * top_k, -1);
  for (int expert = 0; expert < local_experts(problem); ++expert) {
    const std::size_t first = result.gather_indices.size();
    for (std::size_t slot = 0; slot < result.selected_experts.size(); ++slot) {
      if (result.selected_experts[slot] != problem.first_expert + expert) continue;
      result.slot_rows[slot] = static_cast<std::int32_t>(result.gather_indices.size());
      result.gather_indices.push_back(static_cast<std::int32_t>(slot));
    }
    result.m_sizes.push_back(static_cast<std::int32_t>(result.gather_indices.size() - first));
  }
  return result;
}

}  // namespace moe_tune
