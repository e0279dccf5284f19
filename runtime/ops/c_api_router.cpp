// The C API of the router over the C++ one.
#include <fmt/format.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

#include "generator/support/checked.hpp"
#include "moe_tune/moe_tune.h"
#include "moe_tune/router.hpp"
#include "runtime/ops/c_api_tensor.hpp"

namespace {

using namespace moe_tune;

// What callers compiled against the first version with this struct say.
constexpr std::size_t first_router_args_size = 96;
static_assert(sizeof(moe_tune_router_args) == first_router_args_size);

/// A call in the terms of the C++ API.
struct Call {
  RouterProblem problem;
  int device = 0;
  RouterArgs args;
};

/// A contiguous tensor on the call's device: of its dtype, or int32.
enum class Of { dtype, int32 };
void* tensor(const char* name, const DLTensor* given, std::initializer_list<std::int64_t> shape, const Call& call, Of of) {
  const Tensor result(name, given, static_cast<int>(shape.size()));
  if (of == Of::int32) {
    result.require_int32();
  } else if (result.storage_type() != call.problem.dtype) {
    throw UsageError(fmt::format("{} is not of hidden_states' dtype", name));
  }
  result.require_shape(shape);
  result.require_device(call.device);
  result.require_contiguous();
  return result.data();
}

Call convert(const moe_tune_router_args* given) {
  const auto a = checked_args(given, first_router_args_size, "moe_tune_router_args");
  if (a.kind < MOE_TUNE_SOFTMAX || a.kind > MOE_TUNE_SIGMOID)
    throw UsageError(fmt::format("kind = {} is no moe_tune_router_kind", a.kind));
  const Tensor hidden("hidden_states", a.hidden_states, 2);
  const Tensor logits("router_logits", a.router_logits, 2);
  const Tensor selected("selected_experts", a.selected_experts, 2);
  const Tensor m_sizes("m_sizes", a.m_sizes, 1);
  Call call;
  call.device = hidden.device();
  const std::int64_t T = hidden.size(0);
  const std::int64_t E = logits.size(1);
  const std::int64_t top_k = selected.size(1);
  call.problem = {.kind = static_cast<RouterKind>(a.kind),
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
  args.hidden_states = tensor("hidden_states", a.hidden_states, {T, call.problem.H}, call, Of::dtype);
  args.weight = tensor("weight", a.weight, {E, call.problem.H}, call, Of::dtype);
  args.router_logits = tensor("router_logits", a.router_logits, {T, E}, call, Of::dtype);
  args.selected_experts = tensor("selected_experts", a.selected_experts, {T, top_k}, call, Of::int32);
  args.topk_weights = tensor("topk_weights", a.topk_weights, {T, top_k}, call, Of::dtype);
  args.m_sizes = tensor("m_sizes", a.m_sizes, {m_sizes.size(0)}, call, Of::int32);
  args.gather_indices = tensor("gather_indices", a.gather_indices, {T * top_k}, call, Of::int32);
  const Tensor slot_rows = weights_by_slot("slot_rows", a.slot_rows, T * top_k, top_k);
  slot_rows.require_int32();
  slot_rows.require_device(call.device);
  args.slot_rows = slot_rows.data();
  if (a.token_count != nullptr) args.token_count = tensor("token_count", a.token_count, {1}, call, Of::int32);
  if (a.workspace != nullptr) {
    const Tensor workspace("workspace", a.workspace, 1);
    workspace.require_device(call.device);
    args.workspace = workspace.data();
    args.workspace_bytes = workspace.bytes();
  }
  return call;
}

/// The routers that were asked for; each made by its first call.
Router& router(const Call& call) {
  // Never destroyed, like the library that they use.
  static std::mutex& mutex = *new std::mutex();
  static auto& all = *new std::map<std::pair<RouterProblem, int>, Router>();
  const std::lock_guard lock(mutex);
  const auto key = std::pair(call.problem, call.device);
  const auto found = all.find(key);
  if (found != all.end()) return found->second;
  return all.emplace(key, Router(Library::instance(), call.problem, call.device)).first->second;
}

}  // namespace

int moe_tune_router(const moe_tune_router_args* args, void* stream) {
  return guarded([&] {
    const Call call = convert(args);
    router(call).run(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_router_workspace_bytes(const moe_tune_router_args* args, size_t* bytes) {
  return guarded([&] {
    if (bytes == nullptr) throw UsageError("bytes is NULL");
    const Call call = convert(args);
    *bytes = router(call).workspace_bytes(call.args.tokens);
  });
}

int moe_tune_prepare_router(const moe_tune_router_args* args) {
  return guarded([&] { router(convert(args)).prepare(); });
}
