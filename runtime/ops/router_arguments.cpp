#include "runtime/ops/router_arguments.hpp"

#include <fmt/format.h>

#include "runtime/launch/launch_kernel.hpp"
#include "runtime/launch/router_plan.hpp"
#include "runtime/ops/argument_checks.hpp"

namespace moe_tune {

int checked_tokens(const RouterProblem& problem, std::int64_t tokens) {
  const int most = most_rows / problem.top_k;
  if (tokens < 0 || tokens > most)
    throw UsageError(fmt::format("router: tokens = {} is out of range: 0 to {} in one call", tokens, most));
  return static_cast<int>(tokens);
}

abi::RouterArgs convert(const RouterProblem& problem, const RouterArgs& a) {
  constexpr ArgumentChecks checks("router");
  constexpr std::int64_t word = sizeof(int);
  const std::int64_t element = element_bytes(problem.dtype);
  abi::RouterArgs args{};
  args.tokens = checked_tokens(problem, a.tokens);
  const bool any = a.tokens > 0;
  checks.pointer("hidden_states", a.hidden_states, tensor_alignment, any);
  checks.pointer("weight", a.weight, tensor_alignment, any);
  // Rows of logits are stored 16 bytes at a time where they are a multiple of that.
  checks.pointer("router_logits", a.router_logits, problem.E % 8 == 0 ? tensor_alignment : element, any);
  checks.pointer("selected_experts", a.selected_experts, word, any);
  checks.pointer("topk_weights", a.topk_weights, element, any);
  checks.pointer("m_sizes", a.m_sizes, word, true);
  checks.pointer("gather_indices", a.gather_indices, word, any);
  checks.pointer("slot_rows", a.slot_rows, word, any);
  checks.pointer("token_count", a.token_count, word, false);
  checks.pointer("routed_tokens", a.routed_tokens, word, false);
  const std::size_t needed = router_workspace_bytes(problem, a.tokens);
  checks.pointer("workspace", a.workspace, tensor_alignment, needed > 0);
  if (a.workspace_bytes < needed) {
    throw UsageError(fmt::format("router: the workspace has {} bytes; {} tokens need {}: give as many as workspace_bytes() says",
                                 a.workspace_bytes, a.tokens, needed));
  }
  args.hidden_states = a.hidden_states;
  args.weight = a.weight;
  args.router_logits = a.router_logits;
  args.selected_experts = static_cast<int*>(a.selected_experts);
  args.topk_weights = a.topk_weights;
  args.m_sizes = static_cast<int*>(a.m_sizes);
  args.gather_indices = static_cast<int*>(a.gather_indices);
  args.slot_rows = static_cast<int*>(a.slot_rows);
  args.token_count = static_cast<const int*>(a.token_count);
  args.routed_tokens = static_cast<int*>(a.routed_tokens);
  args.histograms = static_cast<int*>(a.workspace);
  args.inject = a.inject;
  return args;
}

}  // namespace moe_tune
