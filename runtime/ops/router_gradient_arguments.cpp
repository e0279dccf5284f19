#include "runtime/ops/router_gradient_arguments.hpp"

#include <fmt/format.h>

#include "runtime/launch/router_gradient_plan.hpp"
#include "runtime/ops/argument_checks.hpp"
#include "runtime/ops/router_arguments.hpp"

namespace moe_tune {

abi::RouterGradientArgs convert(const RouterProblem& problem, const RouterGradientArgs& a) {
  constexpr ArgumentChecks checks("router gradient");
  constexpr std::int64_t word = sizeof(int);
  const std::int64_t element = element_bytes(problem.dtype);
  abi::RouterGradientArgs args{};
  args.tokens = checked_tokens(problem, a.tokens);
  const bool any = a.tokens > 0;
  if (a.d_hidden_states == nullptr && a.d_weight == nullptr && any)
    throw UsageError("router gradient: neither d_hidden_states nor d_weight is given: nothing is wanted");
  checks.pointer("hidden_states", a.hidden_states, tensor_alignment, any && a.d_weight != nullptr, " where d_weight is wanted");
  checks.pointer("weight", a.weight, tensor_alignment, any && a.d_hidden_states != nullptr, " where d_hidden_states is wanted");
  checks.pointer("router_logits", a.router_logits, element, any);
  checks.pointer("selected_experts", a.selected_experts, word, any);
  checks.pointer("d_topk_weights", a.d_topk_weights, word, any);
  checks.pointer("d_router_logits", a.d_router_logits, element, false);
  checks.pointer("d_hidden_states", a.d_hidden_states, tensor_alignment, false);
  checks.pointer("d_weight", a.d_weight, tensor_alignment, false);
  checks.pointer("token_count", a.token_count, word, false);
  const RouterGradientWorkspace workspace(problem, args.tokens);
  checks.pointer("workspace", a.workspace, tensor_alignment, any);
  if (a.workspace_bytes < workspace.bytes()) {
    throw UsageError(
        fmt::format("router gradient: the workspace has {} bytes; {} tokens need {}: give as many as workspace_bytes() says",
                    a.workspace_bytes, a.tokens, workspace.bytes()));
  }
  workspace.place(args, a.workspace);
  args.hidden_states = a.hidden_states;
  args.weight = a.weight;
  args.router_logits = a.router_logits;
  args.selected_experts = static_cast<const int*>(a.selected_experts);
  args.d_topk_weights = static_cast<const float*>(a.d_topk_weights);
  args.d_router_logits = a.d_router_logits;
  args.d_hidden_states = a.d_hidden_states;
  args.d_weight = a.d_weight;
  args.token_count = static_cast<const int*>(a.token_count);
  args.accumulate = a.accumulate;
  args.d_weight_float32 = a.d_weight_type == WeightType::float32;
  return args;
}

}  // namespace moe_tune
