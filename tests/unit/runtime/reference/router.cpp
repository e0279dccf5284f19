// The reference of a router's kernels against results worked out by hand.
#include "runtime/reference/router.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <optional>
#include <vector>

#include "runtime/reference/half.hpp"

using namespace moe_tune;

namespace {

using Ints = std::vector<std::int32_t>;

/// Logits of some tokens, and what is made of them.
struct Route {
  RouterProblem problem{.kind = RouterKind::sigmoid, .dtype = DType::fp16, .E = 4, .H = 8, .top_k = 2};
  std::vector<std::uint16_t> logits;
  Ints injected;
  std::optional<int> token_count;

  void add(const std::vector<float>& row) {
    for (const float logit : row) logits.push_back(from_float(logit, problem.dtype));
  }
  RouterReference run() const {
    abi::RouterArgs args{};
    Ints selected = injected;
    args.tokens = static_cast<int>(logits.size()) / problem.E;
    args.router_logits = const_cast<std::uint16_t*>(logits.data());
    args.selected_experts = selected.data();
    args.inject = !injected.empty();
    args.token_count = token_count ? &*token_count : nullptr;
    return reference_route(problem, args);
  }
};

}  // namespace

TEST_CASE("reference router: logits are products of rows") {
  const RouterProblem problem{.dtype = DType::bf16, .E = 2, .H = 8};
  std::vector<std::uint16_t> x;
  for (const float value : {1, 2, 0, 0, 0, 0, 0, 3, -1, 0, 0, 0, 0, 0, 0, 0}) x.push_back(from_float(value, DType::bf16));
  std::vector<std::uint16_t> w;
  for (const float value : {2, 1, 9, 9, 9, 9, 9, -1, 0, 5, 9, 9, 9, 9, 9, 1}) w.push_back(from_float(value, DType::bf16));
  abi::RouterArgs args{};
  args.hidden_states = x.data();
  args.weight = w.data();
  args.tokens = 2;
  CHECK(reference_router_logits(problem, args) == std::vector<float>{1, 13, -2, 0});
}

TEST_CASE("reference router: rows are sorted by expert and then by slot") {
  Route route;
  route.add({3, 1, 0, 2});   // 0, 3
  route.add({0, 0, 5, 5});   // 2, 3: equal ones by id
  route.add({-1, 4, 0, 6});  // 3, 1
  const RouterReference result = route.run();
  CHECK(result.status == 0);
  CHECK(result.tokens == 3);
  CHECK(result.selected_experts == Ints{0, 3, 2, 3, 3, 1});
  CHECK(result.m_sizes == Ints{1, 1, 1, 3});
  CHECK(result.gather_indices == Ints{0, 5, 2, 1, 3, 4});
  CHECK(result.slot_rows == Ints{0, 3, 2, 4, 5, 1});
  CHECK(result.topk_weights[0] == Approx(1 / (1 + std::exp(-3.0))));
}

TEST_CASE("reference router: only local experts have rows") {
  Route route;
  route.problem.first_expert = 1;
  route.problem.local_experts = 2;
  route.add({3, 1, 0, 2});
  route.add({0, 0, 5, 5});
  route.add({-1, 4, 0, 6});
  const RouterReference result = route.run();
  CHECK(result.m_sizes == Ints{1, 1});
  CHECK(result.gather_indices == Ints{5, 2});
  CHECK(result.slot_rows == Ints{-1, -1, 1, -1, -1, 0});
  CHECK(result.selected_experts == Ints{0, 3, 2, 3, 3, 1});
}

TEST_CASE("reference router: zeros of both signs are equal, NaN is larger than all") {
  Route route;
  route.add({-0.0f, 0.0f, -1, 0.0f});
  route.add({9, std::nanf(""), 1e4f, std::nanf("")});
  CHECK(route.run().selected_experts == Ints{0, 1, 1, 3});
  CHECK(std::isnan(route.run().topk_weights[2]));
  route.problem.kind = RouterKind::softmax_norm_topk;
  const RouterReference result = route.run();
  CHECK(result.selected_experts == Ints{0, 1, 0, 1});
  CHECK(result.topk_weights[0] == Approx(0.5));
  CHECK((std::isnan(result.topk_weights[2]) && std::isnan(result.topk_weights[3])));
}

TEST_CASE("reference router: one expert, and as many choices as experts") {
  Route route;
  route.problem.E = 1;
  route.problem.top_k = 1;
  route.problem.kind = RouterKind::softmax;
  route.add({-7});
  route.add({7});
  CHECK(route.run().selected_experts == Ints{0, 0});
  CHECK(route.run().topk_weights == std::vector<double>{1, 1});
  CHECK(route.run().m_sizes == Ints{2});
  Route all;
  all.problem.top_k = 4;
  all.problem.kind = RouterKind::softmax;
  all.add({0, 2, 1, 2});
  CHECK(all.run().selected_experts == Ints{1, 3, 2, 0});
  double sum = 0;
  for (const double weight : all.run().topk_weights) sum += weight;
  CHECK(sum == Approx(1));
}

TEST_CASE("reference router: a given selection is taken, but for what is no expert") {
  Route route;
  route.problem.kind = RouterKind::softmax_norm_topk;
  route.add({0, std::log(3.0f), 0, 0});
  route.add({0, 0, 0, 0});
  route.injected = {0, 1, 4, 2};
  const RouterReference result = route.run();
  CHECK(result.status == abi::status_bad_selected_expert);
  CHECK(result.selected_experts == Ints{0, 1, 4, 2});
  CHECK(result.topk_weights[1] == Approx(0.75).epsilon(1e-3));
  CHECK((result.topk_weights[2] == 0 && result.topk_weights[3] == 1));
  CHECK(result.m_sizes == Ints{1, 1, 1, 0});
  CHECK(result.slot_rows == Ints{0, 1, -1, 2});
}

TEST_CASE("reference router: tokens that are not there have no rows") {
  Route route;
  for (int token = 0; token < 3; ++token) route.add({3, 1, 0, 2});
  route.token_count = 1;
  CHECK(route.run().tokens == 1);
  CHECK(route.run().slot_rows == Ints{0, 1, -1, -1, -1, -1});
  CHECK(route.run().selected_experts == Ints{0, 3});
  CHECK(route.run().status == 0);
  route.token_count = -2;
  CHECK(route.run().tokens == 0);
  CHECK(route.run().status == abi::status_bad_token_count);
  route.token_count = 4;
  CHECK(route.run().tokens == 3);
  CHECK(route.run().status == abi::status_bad_token_count);
}
