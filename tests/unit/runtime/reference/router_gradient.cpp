// The reference of the kernels of a router's gradient against results worked out by hand, and against the derivative.
#include "runtime/reference/router_gradient.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <optional>
#include <vector>

#include "runtime/reference/half.hpp"
#include "runtime/reference/router_scores.hpp"

using namespace moe_tune;

namespace {

/// Logits of some tokens, and what is made of them.
struct Gradient {
  RouterProblem problem{.kind = RouterKind::softmax_norm_topk, .dtype = DType::fp16, .E = 4, .H = 8, .top_k = 2};
  std::vector<std::uint16_t> logits;
  std::vector<int> selected;
  std::vector<float> d_topk_weights;
  std::vector<std::uint16_t> d_router_logits;
  std::optional<int> token_count;

  void add(const std::vector<float>& row, const std::vector<int>& experts, const std::vector<float>& d_weights) {
    for (const float logit : row) logits.push_back(from_float(logit, problem.dtype));
    selected.insert(selected.end(), experts.begin(), experts.end());
    d_topk_weights.insert(d_topk_weights.end(), d_weights.begin(), d_weights.end());
  }
  RouterGradientReference run() const {
    abi::RouterGradientArgs args{};
    args.tokens = static_cast<int>(logits.size()) / problem.E;
    args.router_logits = logits.data();
    args.selected_experts = selected.data();
    args.d_topk_weights = d_topk_weights.data();
    if (!d_router_logits.empty()) args.d_router_logits = d_router_logits.data();
    args.token_count = token_count ? &*token_count : nullptr;
    return reference_router_gradient(problem, args);
  }
};

void check_close(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).margin(1e-12));
}

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("reference router gradient: of weights that share a sum") {
  Gradient gradient;
  gradient.add({1, 1, 0, 0}, {0, 1}, {3, 1});
  // Each weight is 1/2, the mean 2.
  check_close(gradient.run().d_logits, {0.5, -0.5, 0, 0});
  check_close(gradient.run().magnitudes, {2.5, 1.5, 0, 0});
}

TEST_CASE("reference router gradient: of a softmax over all") {
  Gradient gradient;
  gradient.problem.kind = RouterKind::softmax;
  gradient.add({0, 0, 0, 0}, {2, 1}, {4, 8});
  // Each probability is 1/4, the mean 3.
  check_close(gradient.run().d_logits, {-0.75, 1.25, 0.25, -0.75});
}

TEST_CASE("reference router gradient: of sigmoids, from gradients by the weights' logarithms") {
  Gradient gradient;
  gradient.problem.kind = RouterKind::sigmoid;
  gradient.add({0, 2, 0, -30}, {1, 3}, {4, 8});
  const double weight = 1 / (1 + std::exp(-2.0));
  check_close(gradient.run().d_logits, {0, 4 * (1 - weight), 0, 8});
}

TEST_CASE("reference router gradient: what the logits get from elsewhere is added") {
  Gradient gradient;
  gradient.add({1, 1, 0, 0}, {0, 1}, {3, 1});
  for (const float value : {1.0f, 0.0f, 0.5f, -2.0f}) gradient.d_router_logits.push_back(from_float(value, DType::fp16));
  check_close(gradient.run().d_logits, {1.5, -0.5, 0.5, -2});
}

TEST_CASE("reference router gradient: slots of other processes' experts and of none count as 0, and shares add up") {
  Gradient whole;
  whole.add({1, 1, 0, 0}, {0, 2}, {3, 1});
  Gradient low = whole;
  low.problem.local_experts = 2;
  low.d_topk_weights[1] = nan_value;
  Gradient high = whole;
  high.problem.first_expert = 2;
  high.d_topk_weights[0] = nan_value;
  std::vector<double> sum = low.run().d_logits;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += high.run().d_logits[i];
  check_close(sum, whole.run().d_logits);
  CHECK(whole.run().status == 0);
  Gradient bad;
  bad.add({1, 1, 0, 0}, {0, 4}, {3, nan_value});
  check_close(bad.run().d_logits, {0, 0, 0, 0});
  CHECK(bad.run().status == abi::status_bad_selected_expert);
}

TEST_CASE("reference router gradient: it is the derivative of the weights") {
  const std::vector<double> logits{0.5, -1, 2, 0.25};
  const std::vector<std::int32_t> chosen{2, 0};
  for (const RouterKind kind : {RouterKind::softmax, RouterKind::softmax_norm_topk, RouterKind::sigmoid}) {
    const std::vector<double> weights = weights_of_selection(kind, logits, chosen);
    Gradient gradient;
    gradient.problem.kind = kind;
    const std::vector<double> d_weights{3, -2};
    std::vector<float> given(d_weights.begin(), d_weights.end());
    std::vector<double> by_weight = d_weights;
    if (kind == RouterKind::sigmoid) {
      for (std::size_t c = 0; c < 2; ++c) by_weight[c] /= weights[c];
    }
    gradient.add({logits.begin(), logits.end()}, chosen, given);
    check_close(gradient.run().d_logits, gradient_of_logits(kind, logits, chosen, by_weight));
  }
}

TEST_CASE("reference router gradient: tokens that are not there have none") {
  Gradient gradient;
  for (int token = 0; token < 3; ++token) gradient.add({1, 1, 0, 0}, {0, 1}, {3, 1});
  gradient.token_count = 2;
  CHECK(gradient.run().d_logits.size() == 8);
  CHECK(gradient.run().status == 0);
  gradient.token_count = 4;
  CHECK(gradient.run().tokens == 3);
  CHECK(gradient.run().status == abi::status_bad_token_count);
}

TEST_CASE("reference router gradient: the products with the weight and with the hidden states") {
  const RouterProblem problem{.dtype = DType::fp16, .E = 2, .H = 8};
  const std::vector<double> d_logits{1, 2, -1, 0};
  std::vector<std::uint16_t> rows;
  for (int i = 0; i < 16; ++i) rows.push_back(from_float(static_cast<float>(i), DType::fp16));
  abi::RouterGradientArgs args{};
  args.tokens = 2;
  args.weight = rows.data();
  args.hidden_states = rows.data();
  const std::vector<float> d_hidden_states = reference_d_hidden_states(problem, args, d_logits);
  REQUIRE(d_hidden_states.size() == 16);
  CHECK((d_hidden_states[0] == 16 && d_hidden_states[7] == 37 && d_hidden_states[8] == 0 && d_hidden_states[15] == -7));
  std::vector<float> d_weight = reference_d_weight(problem, args, d_logits);
  REQUIRE(d_weight.size() == 16);
  CHECK((d_weight[0] == -8 && d_weight[7] == -8 && d_weight[8] == 0 && d_weight[15] == 14));
  std::vector<float> old(16, 100);
  args.d_weight = old.data();
  args.d_weight_float32 = args.accumulate = 1;
  CHECK(reference_d_weight(problem, args, d_logits)[15] == 114);
  std::vector<std::uint16_t> old_rounded(16, from_float(100, DType::fp16));
  args.d_weight = old_rounded.data();
  args.d_weight_float32 = 0;
  CHECK(reference_d_weight(problem, args, d_logits)[0] == 92);
}
