// The C API of the grouped GEMM over the C++ one, and of the library as a whole.
#include "moe_tune/moe_tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <tuple>

#include "moe_tune/grouped_gemm.hpp"
#include "runtime/ops/c_api_config.hpp"
#include "runtime/ops/c_api_tensor.hpp"

namespace {

using namespace moe_tune;

/// A call in the terms of the C++ API.
struct Call {
  Problem problem;
  int device = 0;
  std::optional<KernelConfig> config;
  GroupedGemmArgs args;
};

// The sizes of the structs as first published: what a caller must give at least, also once fields have been added.
constexpr std::size_t first_args_size = 88;
constexpr std::size_t first_backward_args_size = 96;
static_assert(offsetof(moe_tune_forward_args, pre_activation) == first_args_size &&
              offsetof(moe_tune_backward_args, accumulate) == first_backward_args_size);

/// A dimension that is compiled into a kernel.
int dimension(const char* what, std::int64_t value) {
  if (value > INT32_MAX) throw UsageError(fmt::format("{} = {} is out of range", what, value));
  return static_cast<int>(value);
}

/// What the arguments of every operation say. `w` has the shape of the weights; `first` is the tensor whose dtype and device the
/// others must have.
template <class Args>
Call common_call(const Args& a, const Tensor& w, const Tensor& first) {
  if (a.gemm != MOE_TUNE_GATE_UP && a.gemm != MOE_TUNE_DOWN)
    throw UsageError(fmt::format("gemm = {} is no moe_tune_gemm", a.gemm));
  Call call;
  call.device = first.device();
  call.problem.gemm = a.gemm == MOE_TUNE_GATE_UP ? Gemm::gate_up : Gemm::down;
  call.problem.dtype = first.storage_type();
  call.problem.E = dimension("E", w.size(0));
  call.problem.N = dimension("N", w.size(1));
  call.problem.K = dimension("K", w.size(2));
  call.problem.top_k = a.top_k;
  call.problem.permute_x = a.permute_x != 0;
  call.problem.permute_y = a.permute_y != 0;
  call.args.w_row_stride = w.stride(1);
  call.args.w_expert_stride = w.stride(0);
  call.args.max_sms = a.max_sms;
  if (a.config != nullptr) call.config = kernel_config("config", *a.config);
  return call;
}

/// Takes m_sizes, gather_indices and the workspace of a valid problem with M rows.
template <class Args>
void take_routing(Call& call, const Args& a, std::int64_t M) {
  const Problem& p = call.problem;
  const Tensor m_sizes("m_sizes", a.m_sizes, 1);
  m_sizes.require_shape({p.E});
  m_sizes.require_device(call.device);
  call.args.tokens = M / p.top_k;
  call.args.m_sizes = m_sizes.data();
  call.args.m_sizes_type = m_sizes.index_type();
  if (p.permute_x || p.permute_y) {
    const Tensor indices("gather_indices", a.gather_indices, 1);
    indices.require_shape({M});
    indices.require_device(call.device);
    call.args.gather_indices = indices.data();
    call.args.gather_indices_type = indices.index_type();
  }
  if (a.workspace != nullptr) {
    const Tensor workspace("workspace", a.workspace, 1);
    workspace.require_device(call.device);
    call.args.workspace = workspace.data();
    call.args.workspace_bytes = workspace.bytes();
  }
}

/// Rows of a call, as its (M, ...) tensor says.
std::int64_t rows_of(const char* name, const Tensor& tensor, const Problem& p) {
  const std::int64_t M = tensor.size(0);
  if (M % p.top_k != 0) throw UsageError(fmt::format("{} has {} rows, not a multiple of top_k = {}", name, M, p.top_k));
  return M;
}

Call convert(const moe_tune_forward_args* given) {
  const moe_tune_forward_args a = checked_args(given, first_args_size, "moe_tune_forward_args");
  const Tensor x("x", a.x, 2);
  const Tensor w("w", a.w, 3);
  const Tensor y("y", a.y, 2);
  Call call = common_call(a, w, x);
  Problem& p = call.problem;
  p.fuse_mul_post = a.fuse_mul_post != 0;
  p.fuse_mul_pre = a.fuse_mul_pre != 0;
  p.fuse_swiglu = a.fuse_swiglu != 0;
  p.keep_pre_activation = a.pre_activation != nullptr;
  validate(p);
  if (w.storage_type() != p.dtype || y.storage_type() != p.dtype) throw UsageError("x, w and y have different dtypes");

  const std::int64_t M = rows_of("y", y, p);
  const std::int64_t tokens = M / p.top_k;
  x.require_shape({p.permute_x ? tokens : M, p.K});
  y.require_shape({M, output_columns(p)});
  for (const Tensor* tensor : {&w, &y}) tensor->require_device(call.device);
  take_routing(call, a, M);
  GroupedGemmArgs& args = call.args;
  args.x = x.data();
  args.w = w.data();
  args.y = y.data();
  args.x_row_stride = x.stride(0);
  args.y_row_stride = y.stride(0);
  if (p.fuse_mul_post || p.fuse_mul_pre) {
    const Tensor weights = weights_by_slot("topk_weights", a.topk_weights, M, p.top_k);
    weights.require_device(call.device);
    args.topk_weights = weights.data();
    args.topk_weights_type = weights.weight_type(p.dtype, "x");
  }
  if (p.keep_pre_activation) {
    const Tensor kept("pre_activation", a.pre_activation, 2);
    if (kept.storage_type() != p.dtype) throw UsageError("pre_activation is not of x's dtype");
    kept.require_shape({M, p.N});
    kept.require_device(call.device);
    args.pre_activation = kept.data();
    args.pre_activation_row_stride = kept.stride(0);
  }
  return call;
}

Call convert_gradient(const moe_tune_backward_args* given, Op op) {
  const moe_tune_backward_args a = checked_args(given, first_backward_args_size, "moe_tune_backward_args");
  if (op == Op::dX ? a.x != nullptr || a.dw != nullptr : a.w != nullptr || a.dx != nullptr) {
    throw UsageError(op == Op::dX ? "dX has no x and no dw: they must be NULL" : "dW has no w and no dx: they must be NULL");
  }
  const Tensor dy("dy", a.dy, 2);
  const Tensor w = op == Op::dX ? Tensor("w", a.w, 3) : Tensor("dw", a.dw, 3);
  const Tensor x = op == Op::dX ? Tensor("dx", a.dx, 2) : Tensor("x", a.x, 2);
  Call call = common_call(a, w, dy);
  Problem& p = call.problem;
  p.op = op;
  p.accumulate = a.accumulate != 0;
  p.float32_dw = op == Op::dW && w.is(kDLFloat, 32);
  validate(p);
  if ((!p.float32_dw && w.storage_type() != p.dtype) || x.storage_type() != p.dtype) {
    throw UsageError(op == Op::dX ? "dy, w and dx have different dtypes" : "dy, x and dw have different dtypes");
  }
  const std::int64_t M = rows_of("dy", dy, p);
  dy.require_shape({M, p.N});
  x.require_shape({op == Op::dW && p.permute_x ? M / p.top_k : M, p.K});
  for (const Tensor* tensor : {&w, &x}) tensor->require_device(call.device);
  take_routing(call, a, M);
  GroupedGemmArgs& args = call.args;
  args.dy = dy.data();
  (op == Op::dX ? args.dx : args.dw) = op == Op::dX ? x.data() : w.data();
  (op == Op::dX ? args.w : args.x) = op == Op::dX ? w.data() : x.data();
  args.x_row_stride = x.stride(0);
  args.y_row_stride = dy.stride(0);
  return call;
}

/// The operations that calls have asked for so far.
class Operations {
 public:
  GroupedGemm& find(const Call& call) {
    const Key key{call.problem, call.device, call.config};
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = operations_.find(key); found != operations_.end()) return found->second;
    }
    const std::unique_lock lock(mutex_);
    const auto found = operations_.find(key);
    if (found != operations_.end()) return found->second;
    return operations_.emplace(key, GroupedGemm(Library::instance(), call.problem, call.device, call.config)).first->second;
  }

 private:
  using Key = std::tuple<Problem, int, std::optional<KernelConfig>>;
  std::shared_mutex mutex_;
  std::map<Key, GroupedGemm> operations_;
};

Operations& operations() {
  // Never destroyed, like the library that they use.
  static Operations& all = *new Operations();
  return all;
}

void run(const Call& call, void* stream) { operations().find(call).run(call.args, static_cast<CUstream_st*>(stream)); }

void prepare(const Call& call, const int64_t* tokens, size_t count) {
  if (tokens == nullptr && count > 0) throw UsageError("tokens is NULL");
  operations().find(call).prepare({tokens, count}, call.args.w_row_stride);
}

void workspace(const Call& call, int64_t tokens, size_t* bytes) {
  if (bytes == nullptr) throw UsageError("bytes is NULL");
  *bytes = operations().find(call).workspace_bytes(tokens);
}

void explain(const Call& call, int64_t tokens, char* text, size_t size) {
  const TextTarget target(text, size);
  target.write(operations().find(call).selection(tokens));
}

}  // namespace

#define MOE_TUNE_DEFINE_OPERATION(name, Args, call)                                        \
  int moe_tune_grouped_gemm_##name(const Args* args, void* stream) {                       \
    return guarded([&] { run(call, stream); });                                            \
  }                                                                                        \
  int moe_tune_prepare_##name(const Args* args, const int64_t* tokens, size_t count) {     \
    return guarded([&] { prepare(call, tokens, count); });                                 \
  }                                                                                        \
  int moe_tune_workspace_bytes_##name(const Args* args, int64_t tokens, size_t* bytes) {   \
    return guarded([&] { workspace(call, tokens, bytes); });                               \
  }                                                                                        \
  int moe_tune_explain_##name(const Args* args, int64_t tokens, char* text, size_t size) { \
    return guarded([&] { explain(call, tokens, text, size); });                            \
  }
MOE_TUNE_DEFINE_OPERATION(forward, moe_tune_forward_args, convert(args))
MOE_TUNE_DEFINE_OPERATION(backward_dX, moe_tune_backward_args, convert_gradient(args, Op::dX))
MOE_TUNE_DEFINE_OPERATION(backward_dW, moe_tune_backward_args, convert_gradient(args, Op::dW))
#undef MOE_TUNE_DEFINE_OPERATION

int moe_tune_device_status(int device, uint32_t* bits, int clear) {
  return guarded([&] {
    if (bits == nullptr) throw UsageError("bits is NULL");
    const DeviceStatus status = Library::instance().status(device, clear != 0);
    *bits = (status.bad_gather_index ? MOE_TUNE_STATUS_BAD_GATHER_INDEX : 0u) |
            (status.bad_m_sizes ? MOE_TUNE_STATUS_BAD_M_SIZES : 0u) |
            (status.bad_selected_expert ? MOE_TUNE_STATUS_BAD_SELECTED_EXPERT : 0u) |
            (status.bad_token_count ? MOE_TUNE_STATUS_BAD_TOKEN_COUNT : 0u);
  });
}

const char* moe_tune_last_error(void) { return last_error().c_str(); }

const char* moe_tune_version(void) { return MOE_TUNE_VERSION; }
