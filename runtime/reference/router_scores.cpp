#include "runtime/reference/router_scores.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace moe_tune {

namespace {

/// Where the score of a chosen expert stands; nothing for an id that is no expert's.
std::optional<std::size_t> expert_index(std::int32_t expert, std::size_t experts) {
  if (expert < 0 || static_cast<std::size_t>(expert) >= experts) return std::nullopt;
  return static_cast<std::size_t>(expert);
}

}  // namespace

std::vector<double> router_scores(RouterKind kind, std::span<const double> logits) {
  std::vector<double> scores;
  if (kind == RouterKind::sigmoid) {
    for (const double logit : logits) scores.push_back(1 / (1 + std::exp(-logit)));
    return scores;
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  for (const double logit : logits) scores.push_back(std::exp(logit - largest));
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  for (double& score : scores) score /= sum;
  return scores;
}

std::vector<std::int32_t> select_experts(RouterKind kind, std::span<const double> logits, int top_k) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const bool all_equal = kind != RouterKind::sigmoid && std::isnan(router_scores(kind, logits).front());
  if (!all_equal) {
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      const double x = logits[static_cast<std::size_t>(a)];
      const double y = logits[static_cast<std::size_t>(b)];
      return std::isnan(x) ? !std::isnan(y) : x > y;
    });
  }
  order.resize(static_cast<std::size_t>(top_k));
  return order;
}

std::vector<double> weights_of_selection(RouterKind kind, std::span<const double> logits, std::span<const std::int32_t> chosen) {
  const std::vector<double> scores = router_scores(kind, logits);
  std::vector<double> weights;
  for (const std::int32_t id : chosen) {
    const auto expert = expert_index(id, scores.size());
    weights.push_back(expert ? scores[*expert] : 0);
  }
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (kind != RouterKind::softmax_norm_topk || sum == 0) return weights;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (expert_index(chosen[i], scores.size())) weights[i] /= sum;  // others stay 0, whatever the sum
  }
  return weights;
}

std::vector<double> gradient_of_logits(RouterKind kind, std::span<const double> logits, std::span<const std::int32_t> chosen,
                                       std::span<const double> d_weights) {
  const std::vector<double> scores = router_scores(kind, logits);
  // Of the scores before the division by the sum of the chosen, if there is one.
  double sum = 0;
  double mean = 0;
  if (kind == RouterKind::softmax_norm_topk) {
    const std::vector<double> weights = weights_of_selection(kind, logits, chosen);
    mean = std::inner_product(weights.begin(), weights.end(), d_weights.begin(), 0.0);
    for (const std::int32_t id : chosen) {
      if (const auto expert = expert_index(id, scores.size())) sum += scores[*expert];
    }
  }
  std::vector<double> gradient(scores.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (const auto expert = expert_index(chosen[i], scores.size())) {
      gradient[*expert] = sum == 0 ? d_weights[i] : (d_weights[i] - mean) / sum;
    }
  }
  const double scale = std::inner_product(scores.begin(), scores.end(), gradient.begin(), 0.0);
  for (std::size_t expert = 0; expert < scores.size(); ++expert) {
    gradient[expert] =
        scores[expert] * (kind == RouterKind::sigmoid ? gradient[expert] * (1 - scores[expert]) : gradient[expert] - scale);
  }
  return gradient;
}

}  // namespace moe_tune
