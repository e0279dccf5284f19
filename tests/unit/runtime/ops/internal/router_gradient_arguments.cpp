// The arguments of a router's gradient of the C++ API: what is refused, with its message, and what its kernels get.
#include "runtime/ops/router_gradient_arguments.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

constexpr RouterProblem problem{.E = 40, .H = 64, .top_k = 3, .first_expert = 8, .local_experts = 4};

/// Device memory that nobody touches.
void* memory(std::uintptr_t offset = 0) { return reinterpret_cast<void*>((std::uintptr_t{1} << 40) + offset); }

/// Of d_logits, and one partial sum.
constexpr std::size_t needed_bytes = 129 * 40 * 2 + 40 * 64 * 4;

RouterGradientArgs whole_call() {
  RouterGradientArgs args;
  args.hidden_states = memory();
  args.weight = memory(16);
  args.router_logits = memory(2);
  args.selected_experts = memory(4);
  args.d_topk_weights = memory(8);
  args.d_router_logits = memory(6);
  args.d_hidden_states = memory(32);
  args.d_weight = memory(48);
  args.tokens = 129;
  args.workspace = memory(64);
  args.workspace_bytes = needed_bytes;
  return args;
}

void check_refused(const char* message, void (*spoil)(RouterGradientArgs&)) {
  RouterGradientArgs args = whole_call();
  spoil(args);
  CHECK_THROWS_WITH(convert(problem, args), Contains(message));
}

}  // namespace

TEST_CASE("router gradient arguments: what its kernels get") {
  RouterGradientArgs args = whole_call();
  args.token_count = memory(24);
  args.accumulate = true;
  args.d_weight_type = WeightType::float32;
  const abi::RouterGradientArgs converted = convert(problem, args);
  CHECK((converted.tokens == 129 && converted.accumulate == 1 && converted.d_weight_float32 == 1));
  CHECK((converted.hidden_states == memory() && converted.weight == memory(16) && converted.router_logits == memory(2)));
  CHECK((converted.selected_experts == memory(4) && converted.d_topk_weights == memory(8)));
  CHECK((converted.d_router_logits == memory(6) && converted.d_hidden_states == memory(32) && converted.d_weight == memory(48)));
  CHECK((converted.token_count == memory(24) && converted.d_logits == memory(64)));
  CHECK((converted.d_weight_sums == memory(64 + 129 * 40 * 2) && converted.split_tokens == 256));
  CHECK(converted.status == nullptr);
}

TEST_CASE("router gradient arguments: each one that is wrong is named") {
  check_refused("tokens = -1 is out of range", [](auto& a) { a.tokens = -1; });
  check_refused("tokens = 1073741824 is out of range", [](auto& a) { a.tokens = 1 << 30; });
  check_refused("router gradient: hidden_states is null where d_weight is wanted", [](auto& a) { a.hidden_states = nullptr; });
  check_refused("router gradient: hidden_states is not 16-byte aligned", [](auto& a) { a.hidden_states = memory(8); });
  check_refused("router gradient: weight is null where d_hidden_states is wanted", [](auto& a) { a.weight = nullptr; });
  check_refused("router gradient: weight is not 16-byte aligned", [](auto& a) { a.weight = memory(8); });
  check_refused("router gradient: router_logits is null", [](auto& a) { a.router_logits = nullptr; });
  check_refused("router gradient: router_logits is not 2-byte aligned", [](auto& a) { a.router_logits = memory(1); });
  check_refused("router gradient: selected_experts is null", [](auto& a) { a.selected_experts = nullptr; });
  check_refused("router gradient: d_topk_weights is not 4-byte aligned", [](auto& a) { a.d_topk_weights = memory(2); });
  check_refused("router gradient: d_router_logits is not 2-byte aligned", [](auto& a) { a.d_router_logits = memory(1); });
  check_refused("router gradient: d_hidden_states is not 16-byte aligned", [](auto& a) { a.d_hidden_states = memory(8); });
  check_refused("router gradient: d_weight is not 16-byte aligned", [](auto& a) { a.d_weight = memory(8); });
  check_refused("router gradient: neither d_hidden_states nor d_weight is given",
                [](auto& a) { a.d_hidden_states = a.d_weight = nullptr; });
  check_refused("router gradient: token_count is not 4-byte aligned", [](auto& a) { a.token_count = memory(2); });
  check_refused("router gradient: workspace is null", [](auto& a) { a.workspace = nullptr; });
  check_refused("router gradient: the workspace has 20559 bytes; 129 tokens need 20560", [](auto& a) { --a.workspace_bytes; });
}

TEST_CASE("router gradient arguments: what an output that is not wanted needs may be null") {
  RouterGradientArgs hidden_states = whole_call();
  hidden_states.hidden_states = nullptr;
  hidden_states.d_weight = nullptr;
  hidden_states.d_router_logits = nullptr;
  CHECK_NOTHROW(convert(problem, hidden_states));
  RouterGradientArgs weight = whole_call();
  weight.weight = nullptr;
  weight.d_hidden_states = nullptr;
  CHECK_NOTHROW(convert(problem, weight));
  RouterGradientArgs none;
  CHECK_NOTHROW(convert(problem, none));
}
