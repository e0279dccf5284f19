// The arguments of a router of the C++ API: what is refused, with its message, and what its kernels get.
#include "runtime/ops/router_arguments.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

constexpr RouterProblem problem{.E = 40, .H = 64, .top_k = 3, .first_expert = 8, .local_experts = 4};

/// Device memory that nobody touches.
void* memory(std::uintptr_t offset = 0) { return reinterpret_cast<void*>((std::uintptr_t{1} << 40) + offset); }

RouterArgs whole_call() {
  RouterArgs args;
  args.hidden_states = memory();
  args.weight = memory(16);
  args.router_logits = memory(32);
  args.selected_experts = memory(4);
  args.topk_weights = memory(2);
  args.m_sizes = memory(8);
  args.gather_indices = memory(12);
  args.slot_rows = memory(20);
  args.tokens = 129;
  args.workspace = memory(48);
  args.workspace_bytes = 3 * 4 * 4;
  return args;
}

void check_refused(const char* message, void (*spoil)(RouterArgs&)) {
  RouterArgs args = whole_call();
  spoil(args);
  CHECK_THROWS_WITH(convert(problem, args), Contains(message));
}

}  // namespace

TEST_CASE("router arguments: what its kernels get") {
  RouterArgs args = whole_call();
  args.inject = true;
  args.token_count = memory(24);
  args.routed_tokens = memory(28);
  const abi::RouterArgs converted = convert(problem, args);
  CHECK((converted.tokens == 129 && converted.inject == 1));
  CHECK((converted.histograms == memory(48) && converted.token_count == memory(24) && converted.routed_tokens == memory(28)));
  CHECK(converted.status == nullptr);
}

TEST_CASE("router arguments: each one that is wrong is named") {
  check_refused("router: tokens = -1 is out of range", [](auto& a) { a.tokens = -1; });
  check_refused("router: tokens = 1073741824 is out of range", [](auto& a) { a.tokens = 1 << 30; });
  check_refused("router: hidden_states is null", [](auto& a) { a.hidden_states = nullptr; });
  check_refused("router: hidden_states is not 16-byte aligned", [](auto& a) { a.hidden_states = memory(8); });
  check_refused("router: weight is not 16-byte aligned", [](auto& a) { a.weight = memory(8); });
  check_refused("router: router_logits is null", [](auto& a) { a.router_logits = nullptr; });
  check_refused("router: router_logits is not 16-byte aligned", [](auto& a) { a.router_logits = memory(2); });
  check_refused("router: selected_experts is null", [](auto& a) { a.selected_experts = nullptr; });
  check_refused("router: topk_weights is not 2-byte aligned", [](auto& a) { a.topk_weights = memory(1); });
  check_refused("router: m_sizes is null", [](auto& a) { a.m_sizes = nullptr; });
  check_refused("router: gather_indices is not 4-byte aligned", [](auto& a) { a.gather_indices = memory(2); });
  check_refused("router: slot_rows is null", [](auto& a) { a.slot_rows = nullptr; });
  check_refused("router: token_count is not 4-byte aligned", [](auto& a) { a.token_count = memory(2); });
  check_refused("router: routed_tokens is not 4-byte aligned", [](auto& a) { a.routed_tokens = memory(2); });
  check_refused("router: workspace is null", [](auto& a) { a.workspace = nullptr; });
  check_refused("router: the workspace has 47 bytes; 129 tokens need 48", [](auto& a) { a.workspace_bytes = 47; });
}

TEST_CASE("router arguments: few tokens need no workspace, none need m_sizes alone") {
  RouterArgs few = whole_call();
  few.tokens = 128;
  few.workspace = nullptr;
  few.workspace_bytes = 0;
  CHECK_NOTHROW(convert(problem, few));
  RouterArgs none;
  none.m_sizes = memory();
  CHECK_NOTHROW(convert(problem, none));
  none.m_sizes = nullptr;
  CHECK_THROWS_WITH(convert(problem, none), Contains("router: m_sizes is null"));
}

TEST_CASE("router arguments: logits whose rows are no multiple of 16 bytes need the alignment of an element") {
  RouterProblem odd = problem;
  odd.E = 41;
  RouterArgs args = whole_call();
  args.router_logits = memory(2);
  CHECK_NOTHROW(convert(odd, args));
}
