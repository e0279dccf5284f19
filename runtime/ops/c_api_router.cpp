// The C API of the router over the C++ one.
#include <cstddef>

#include "generator/support/checked.hpp"
#include "moe_tune/moe_tune.h"
#include "moe_tune/router.hpp"
#include "runtime/ops/c_api_router.hpp"

namespace {

using namespace moe_tune;

// What callers compiled against the first version with this struct say.
constexpr std::size_t first_router_args_size = 96;
static_assert(sizeof(moe_tune_router_args) == first_router_args_size);

using Call = CallOfRouter<RouterArgs>;
using Of = Call::Of;

Call convert(const moe_tune_router_args* given) {
  const auto a = checked_args(given, first_router_args_size, "moe_tune_router_args");
  const RouterKind kind = router_kind(a.kind);
  const Tensor hidden("hidden_states", a.hidden_states, 2);
  const Tensor logits("router_logits", a.router_logits, 2);
  const Tensor selected("selected_experts", a.selected_experts, 2);
  const Tensor m_sizes("m_sizes", a.m_sizes, 1);
  Call call;
  call.device = hidden.device();
  const std::int64_t T = hidden.size(0);
  const std::int64_t E = logits.size(1);
  const std::int64_t top_k = selected.size(1);
  call.problem = {.kind = kind,
                  .dtype = hidden.storage_type(),
                  .E = narrow<int>(E, "E"),
                  .H = narrow<int>(hidden.size(1), "H"),
                  .top_k = narrow<int>(top_k, "top_k"),
                  .first_expert = a.first_expert,
                  .local_experts = narrow<int>(m_sizes.size(0), "L")};
  validate(call.problem);
  RouterArgs& args = call.args;
  args.tokens = T;
  args.inject = a.inject != 0;
  args.hidden_states = call.tensor("hidden_states", a.hidden_states, {T, call.problem.H}, Of::dtype);
  args.weight = call.tensor("weight", a.weight, {E, call.problem.H}, Of::dtype);
  args.router_logits = call.tensor("router_logits", a.router_logits, {T, E}, Of::dtype);
  args.selected_experts = call.tensor("selected_experts", a.selected_experts, {T, top_k}, Of::int32);
  args.topk_weights = call.tensor("topk_weights", a.topk_weights, {T, top_k}, Of::dtype);
  args.m_sizes = call.tensor("m_sizes", a.m_sizes, {m_sizes.size(0)}, Of::int32);
  args.gather_indices = call.tensor("gather_indices", a.gather_indices, {T * top_k}, Of::int32);
  const Tensor slot_rows = weights_by_slot("slot_rows", a.slot_rows, T * top_k, top_k);
  slot_rows.require_int32();
  slot_rows.require_device(call.device);
  args.slot_rows = slot_rows.data();
  args.token_count = call.optional_tensor("token_count", a.token_count, {1}, Of::int32);
  call.take_workspace(a.workspace);
  return call;
}

}  // namespace

int moe_tune_router(const moe_tune_router_args* args, void* stream) {
  return guarded([&] {
    const Call call = convert(args);
    operation_of<Router>(call).run(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_router_workspace_bytes(const moe_tune_router_args* args, size_t* bytes) {
  return guarded([&] {
    if (bytes == nullptr) throw UsageError("bytes is NULL");
    const Call call = convert(args);
    *bytes = operation_of<Router>(call).workspace_bytes(call.args.tokens);
  });
}

int moe_tune_prepare_router(const moe_tune_router_args* args) {
  return guarded([&] { operation_of<Router>(convert(args)).prepare(); });
}
