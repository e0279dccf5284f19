#include "runtime/ops/gemm_arguments.hpp"

#include <fmt/format.h>

#include <utility>

#include "generator/support/checked.hpp"
#include "runtime/ops/argument_checks.hpp"

namespace moe_tune {

namespace {

constexpr ArgumentChecks checks("grouped GEMM");

}  // namespace

abi::GroupedGemmArgs convert(const Problem& p, const GroupedGemmArgs& a, unsigned* status) {
  if (a.tokens < 0) throw UsageError(fmt::format("grouped GEMM: tokens = {}", a.tokens));
  const int M = narrow<int>(checked_mul(a.tokens, p.top_k, "grouped GEMM: tokens * top_k"), "grouped GEMM: tokens * top_k");
  if (a.max_sms < 0) throw UsageError(fmt::format("grouped GEMM: max_sms = {}", a.max_sms));
  const bool any = M > 0;
  const bool writes = any || writes_without_rows(p);
  const void* x = p.op == Op::dX ? a.dx : a.x;
  const void* w = p.op == Op::dW ? a.dw : a.w;
  const void* y = p.op == Op::forward ? a.y : a.dy;
  const char* const x_name = p.op == Op::dX ? "dx" : "x";
  const char* const w_name = p.op == Op::dW ? "dw" : "w";
  const char* const y_name = p.op == Op::forward ? "y" : "dy";
  checks.pointer(x_name, x, tensor_alignment, any);
  checks.pointer(w_name, w, tensor_alignment, writes);
  checks.pointer(y_name, y, tensor_alignment, any);
  checks.pointer("m_sizes", a.m_sizes, bytes_of(a.m_sizes_type), writes);
  checks.pointer("gather_indices", a.gather_indices, bytes_of(a.gather_indices_type), any && (p.permute_x || p.permute_y),
                 ", and the problem permutes rows");
  checks.pointer("topk_weights", a.topk_weights, bytes_of(a.topk_weights_type, element_bytes(p.dtype)),
                 any && (p.fuse_mul_post || p.fuse_mul_pre), ", and the problem scales rows");
  checks.pointer("pre_activation", a.pre_activation, tensor_alignment, any && p.keep_pre_activation,
                 ", and the problem has keep_pre_activation");
  checks.pointer("workspace", a.workspace, tensor_alignment, false);

  const int element = element_bytes(p.dtype);
  const int weight_element = weight_element_bytes(p);
  abi::GroupedGemmArgs args{};
  // Kernels of dX read rows of dY as those of forward read X, and write dX as those write Y.
  args.x = p.op == Op::dX ? y : x;
  args.w = w;
  args.y = const_cast<void*>(p.op == Op::dX ? x : y);  // of dW it is read
  args.m_sizes = a.m_sizes;
  args.gather_indices = a.gather_indices;
  args.topk_weights = a.topk_weights;
  args.status = status;
  args.x_row_bytes = checks.row_bytes(x_name, a.x_row_stride, p.K, element);
  args.w_row_bytes = checks.row_bytes(w_name, a.w_row_stride, p.K, weight_element);
  args.y_row_bytes = checks.row_bytes(y_name, a.y_row_stride, p.fuse_swiglu ? p.N / 2 : p.N, element);
  if (p.op == Op::dX) std::swap(args.x_row_bytes, args.y_row_bytes);
  if (p.keep_pre_activation) {
    args.pre_activation = a.pre_activation;
    args.pre_activation_row_bytes = checks.row_bytes("pre_activation", a.pre_activation_row_stride, p.N, element);
  }
  const std::int64_t matrix = checked_mul(args.w_row_bytes, p.N, "bytes of one expert's weight");
  args.w_expert_bytes =
      a.w_expert_stride == 0 ? matrix : checked_mul(a.w_expert_stride, weight_element, "grouped GEMM: w expert stride");
  if (args.w_expert_bytes % tensor_alignment != 0 || (args.w_expert_bytes < matrix - args.w_row_bytes + p.K * weight_element)) {
    throw UsageError(
        fmt::format("grouped GEMM: {} expert stride {} is less than one expert's matrix or not a multiple of {} elements", w_name,
                    a.w_expert_stride, tensor_alignment / weight_element));
  }
  args.M = M;
  args.m_sizes_64 = a.m_sizes_type == IndexType::int64;
  args.gather_indices_64 = a.gather_indices_type == IndexType::int64;
  args.topk_weights_f32 = a.topk_weights_type == WeightType::float32;
  return args;
}

}  // namespace moe_tune
