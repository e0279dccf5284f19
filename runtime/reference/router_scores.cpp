#include "runtime/reference/router_scores.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moe_tune {

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
  const auto exists = [&](std::int32_t expert) { return expert >= 0 && static_cast<std::size_t>(expert) < scores.size(); };
  std::vector<double> weights;
  for (const std::int32_t expert : chosen) weights.push_back(exists(expert) ? scores[static_cast<std::size_t>(expert)] : 0);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (kind != RouterKind::softmax_norm_topk || sum == 0) return weights;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (exists(chosen[i])) weights[i] /= sum;  // others stay 0, whatever the sum
  }
  return weights;
}

}  // namespace moe_tune
