// The C API of the router's gradient over the C++ one.
#include <cstddef>

#include "generator/support/checked.hpp"
#include "moe_tune/moe_tune.h"
#include "moe_tune/router_gradient.hpp"
#include "runtime/ops/c_api_router.hpp"

namespace {

using namespace moe_tune;

// What callers compiled against the first version with this struct say.
constexpr std::size_t first_router_gradient_args_size = 104;
static_assert(sizeof(moe_tune_router_gradient_args) == first_router_gradient_args_size);

using Call = CallOfRouter<RouterGradientArgs>;
using Of = Call::Of;

Call convert(const moe_tune_router_gradient_args* given) {
  const auto a = checked_args(given, first_router_gradient_args_size, "moe_tune_router_gradient_args");
  const RouterKind kind = router_kind(a.kind);
  const Tensor hidden("hidden_states", a.hidden_states, 2);
  const Tensor logits("router_logits", a.router_logits, 2);
  const Tensor selected("selected_experts", a.selected_experts, 2);
  Call call;
  call.device = hidden.device();
  const std::int64_t T = hidden.size(0);
  const std::int64_t H = hidden.size(1);
  const std::int64_t E = logits.size(1);
  const std::int64_t top_k = selected.size(1);
  call.problem = {.kind = kind,
                  .dtype = hidden.storage_type(),
                  .E = narrow<int>(E, "E"),
                  .H = narrow<int>(H, "H"),
                  .top_k = narrow<int>(top_k, "top_k"),
                  .first_expert = a.first_expert,
                  .local_experts = a.local_experts};
  validate(call.problem);
  RouterGradientArgs& args = call.args;
  args.tokens = T;
  args.accumulate = a.accumulate != 0;
  args.hidden_states = call.tensor("hidden_states", a.hidden_states, {T, H}, Of::dtype);
  args.weight = call.tensor("weight", a.weight, {E, H}, Of::dtype);
  args.router_logits = call.tensor("router_logits", a.router_logits, {T, E}, Of::dtype);
  args.selected_experts = call.tensor("selected_experts", a.selected_experts, {T, top_k}, Of::int32);
  args.d_topk_weights = call.tensor("d_topk_weights", a.d_topk_weights, {T, top_k}, Of::float32);
  args.d_router_logits = call.optional_tensor("d_router_logits", a.d_router_logits, {T, E}, Of::dtype);
  args.d_hidden_states = call.optional_tensor("d_hidden_states", a.d_hidden_states, {T, H}, Of::dtype);
  if (a.d_weight != nullptr) {
    args.d_weight_type = Tensor("d_weight", a.d_weight, 2).weight_type(call.problem.dtype, "hidden_states");
    const bool float32 = args.d_weight_type == WeightType::float32;
    args.d_weight = call.tensor("d_weight", a.d_weight, {E, H}, float32 ? Of::float32 : Of::dtype);
  }
  args.token_count = call.optional_tensor("token_count", a.token_count, {1}, Of::int32);
  call.take_workspace(a.workspace);
  return call;
}

}  // namespace

int moe_tune_router_gradient(const moe_tune_router_gradient_args* args, void* stream) {
  return guarded([&] {
    const Call call = convert(args);
    operation_of<RouterGradient>(call).run(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_router_gradient_workspace_bytes(const moe_tune_router_gradient_args* args, size_t* bytes) {
  return guarded([&] {
    if (bytes == nullptr) throw UsageError("bytes is NULL");
    const Call call = convert(args);
    *bytes = operation_of<RouterGradient>(call).workspace_bytes(call.args.tokens);
  });
}

int moe_tune_prepare_router_gradient(const moe_tune_router_gradient_args* args) {
  return guarded([&] { operation_of<RouterGradient>(convert(args)).prepare(); });
}
