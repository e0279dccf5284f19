#include "runtime/reference/router_scores.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

using namespace moe_tune;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
using Experts = std::vector<std::int32_t>;

Experts select(RouterKind kind, const std::vector<double>& logits, int top_k) { return select_experts(kind, logits, top_k); }

}  // namespace

TEST_CASE("router scores: softmax over all experts, sigmoid of each") {
  const std::vector<double> logits = {std::log(1.0), std::log(2.0), std::log(5.0), 800};
  const auto three = std::span(logits).first(3);
  for (const RouterKind kind : {RouterKind::softmax, RouterKind::softmax_norm_topk}) {
    CHECK(router_scores(kind, three)[1] == Approx(0.25));
    CHECK(router_scores(kind, logits) == std::vector<double>{0, 0, 0, 1});
  }
  CHECK(router_scores(RouterKind::sigmoid, three)[2] == Approx(5.0 / 6));
}

TEST_CASE("router scores: weights of the chosen in their order, normalised where the router does") {
  const std::vector<double> logits = {std::log(1.0), std::log(2.0), std::log(5.0)};
  const Experts chosen = {2, 0};
  const auto softmax = weights_of_selection(RouterKind::softmax, logits, chosen);
  CHECK(softmax[0] == Approx(0.625));
  CHECK(softmax[1] == Approx(0.125));
  const auto normalised = weights_of_selection(RouterKind::softmax_norm_topk, logits, chosen);
  CHECK(normalised[0] == Approx(5.0 / 6));
  CHECK(normalised[1] == Approx(1.0 / 6));
  const Experts some = {-1, 1, 3};
  CHECK(weights_of_selection(RouterKind::softmax_norm_topk, logits, some) == std::vector<double>{0, 1, 0});
  const Experts none = {-1, 3};
  CHECK(weights_of_selection(RouterKind::softmax_norm_topk, logits, none) == std::vector<double>{0, 0});
}

TEST_CASE("router scores: the largest logits in falling order, the lowest id of equal ones") {
  for (const RouterKind kind : {RouterKind::softmax, RouterKind::sigmoid}) {
    CHECK(select(kind, {1, 3, 2, 3}, 3) == Experts{1, 3, 2});
    CHECK(select(kind, {-1, -1, -1}, 2) == Experts{0, 1});
    CHECK(select(kind, {-0.0, 0.0}, 1) == Experts{0});
    CHECK(select(kind, {-infinity, -800, -801}, 2) == Experts{1, 2});
  }
}

TEST_CASE("router scores: NaN is larger than everything, and everywhere in a softmax") {
  CHECK(select(RouterKind::sigmoid, {1, not_a_number, infinity, not_a_number}, 3) == Experts{1, 3, 2});
  CHECK(select(RouterKind::softmax, {1, 2, not_a_number}, 2) == Experts{0, 1});
  CHECK(select(RouterKind::softmax_norm_topk, {1, 2, infinity}, 2) == Experts{0, 1});
  CHECK(std::isnan(router_scores(RouterKind::softmax, std::vector<double>{1, 2, not_a_number})[0]));
}

TEST_CASE("router scores: the gradient of the logits agrees with differences of the weights") {
  const std::vector<double> logits = {0.3, -1.2, 0.9, 2.1, -0.4};
  const std::vector<double> d_weights = {0.7, -1.9, 0.2};
  constexpr double step = 1e-3;
  for (const RouterKind kind : {RouterKind::softmax, RouterKind::softmax_norm_topk, RouterKind::sigmoid}) {
    for (const Experts& chosen : {Experts{3, 0, 1}, Experts{2, 5, 4}, Experts{-1, 1, 5}, Experts{-1, 5, 6}, Experts{2}}) {
      const auto loss = [&](std::size_t expert, double change) {
        std::vector<double> changed = logits;
        changed[expert] += change;
        const std::vector<double> weights = weights_of_selection(kind, changed, chosen);
        return std::inner_product(weights.begin(), weights.end(), d_weights.begin(), 0.0);
      };
      const std::vector<double> gradient = gradient_of_logits(kind, logits, chosen, std::span(d_weights).first(chosen.size()));
      for (std::size_t expert = 0; expert < logits.size(); ++expert) {
        const double near = loss(expert, step) - loss(expert, -step);
        const double far = loss(expert, 2 * step) - loss(expert, -2 * step);
        CAPTURE(to_string(kind), chosen, expert);
        CHECK(gradient[expert] == Approx((8 * near - far) / (12 * step)).margin(1e-11).epsilon(1e-9));
      }
    }
  }
}
