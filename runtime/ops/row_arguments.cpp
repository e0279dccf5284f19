#include "runtime/ops/row_arguments.hpp"

#include <fmt/format.h>

#include <string_view>

#include "generator/support/checked.hpp"
#include "runtime/launch/launch_kernel.hpp"
#include "runtime/ops/argument_checks.hpp"

namespace moe_tune {

namespace {

constexpr int element = 2;  // bytes

/// The arguments of one call, checked on their way to the kernel's.
class Checks : public ArgumentChecks {
 public:
  using ArgumentChecks::ArgumentChecks;

  int rows(std::string_view name, std::int64_t count) const {
    if (count < 0 || count > most_rows) {
      throw UsageError(fmt::format("{}: {} = {} is out of range: 0 to {} rows in one call", operation_, name, count, most_rows));
    }
    return static_cast<int>(count);
  }

  /// Of one row of a tensor, `parts` of which lie side by side in its rows.
  int columns(std::int64_t count, int parts = 1) const {
    if (count <= 0 || count % 8 != 0) {
      throw UsageError(fmt::format("{}: {} columns, where a positive multiple of 8 is needed", operation_, count));
    }
    narrow<int>(checked_mul(count, parts * element, "bytes of a row"), fmt::format("{}: bytes of a row", operation_));
    return static_cast<int>(count);
  }

  int positive(std::string_view name, int value) const {
    if (value <= 0) throw UsageError(fmt::format("{}: {} = {}", operation_, name, value));
    return value;
  }

  /// m_sizes, which may be null.
  template <class Args>
  int experts(const Args& a, abi::GroupedGemmArgs& args) const {
    pointer("m_sizes", a.m_sizes, bytes_of(a.m_sizes_type), false);
    args.m_sizes = a.m_sizes;
    args.m_sizes_64 = a.m_sizes_type == IndexType::int64;
    return a.m_sizes == nullptr ? 0 : positive("E", a.E);
  }

  template <class Args>
  void indices(const Args& a, abi::GroupedGemmArgs& args, bool needed, std::string_view when = "") const {
    pointer("gather_indices", a.gather_indices, bytes_of(a.gather_indices_type), needed, when);
    args.gather_indices = a.gather_indices;
    args.gather_indices_64 = a.gather_indices_type == IndexType::int64;
  }

  template <class Args>
  void weights(const Args& a, abi::GroupedGemmArgs& args) const {
    pointer("topk_weights", a.topk_weights, bytes_of(a.topk_weights_type, element), false);
    args.topk_weights = a.topk_weights;
    args.topk_weights_f32 = a.topk_weights_type == WeightType::float32;
  }
};

}  // namespace

abi::PermuteRowsArgs convert(const PermuteRowsArgs& a) {
  constexpr Checks checks("permute_rows");
  abi::PermuteRowsArgs args{};
  args.gemm.M = checks.rows("M", a.M);
  args.slots_per_row = checks.positive("slots_per_row", a.slots_per_row);
  if (a.M % a.slots_per_row != 0) {
    throw UsageError(fmt::format("permute_rows: M = {} is not a multiple of slots_per_row = {}", a.M, a.slots_per_row));
  }
  args.columns = checks.columns(a.columns);
  const bool any = a.M > 0;
  checks.pointer("x", a.x, tensor_alignment, any);
  checks.pointer("rows", a.rows, tensor_alignment, any);
  const bool spread = a.slot_rows != nullptr;
  checks.pointer("slot_rows", a.slot_rows, sizeof(int), false);
  if (spread && (a.gather_indices != nullptr || a.m_sizes != nullptr))
    throw UsageError("permute_rows: slot_rows says where every row goes: leave out gather_indices and m_sizes");
  if (spread && a.slots_per_row > abi::most_spread_slots) {
    throw UsageError(
        fmt::format("permute_rows: slots_per_row = {}, at most {} with slot_rows", a.slots_per_row, abi::most_spread_slots));
  }
  checks.indices(a, args.gemm, any && !spread, ", and so is slot_rows");
  checks.weights(a, args.gemm);
  args.E = checks.experts(a, args.gemm);
  args.slot_rows = static_cast<const int*>(a.slot_rows);
  args.gemm.x = a.x;
  args.gemm.y = a.rows;
  args.gemm.x_row_bytes = checks.row_bytes("x", a.x_row_stride, a.columns, element);
  args.gemm.y_row_bytes = checks.row_bytes("rows", a.rows_row_stride, a.columns, element);
  return args;
}

abi::UnpermuteRowsArgs convert(const UnpermuteRowsArgs& a) {
  constexpr Checks checks("unpermute_rows");
  abi::UnpermuteRowsArgs args{};
  args.gemm.M = checks.rows("M", a.M);
  args.columns = checks.columns(a.columns);
  const bool any = a.M > 0;
  checks.pointer("rows", a.rows, tensor_alignment, any);
  checks.pointer("out", a.out, tensor_alignment, any);
  checks.indices(a, args.gemm, any);
  args.E = checks.experts(a, args.gemm);
  args.gemm.x = a.rows;
  args.gemm.y = a.out;
  args.gemm.x_row_bytes = checks.row_bytes("rows", a.rows_row_stride, a.columns, element);
  args.gemm.y_row_bytes = checks.row_bytes("out", a.out_row_stride, a.columns, element);
  return args;
}

abi::ActAndMulArgs convert(const ActAndMulArgs& a) {
  constexpr Checks checks("act_and_mul");
  abi::ActAndMulArgs args{};
  args.gemm.M = checks.rows("M", a.M);
  args.columns = checks.columns(a.columns, 2);
  const bool any = a.M > 0;
  checks.pointer("x", a.x, tensor_alignment, any);
  checks.pointer("out", a.out, tensor_alignment, any);
  args.E = checks.experts(a, args.gemm);
  args.gemm.x = a.x;
  args.gemm.y = a.out;
  args.gemm.x_row_bytes = checks.row_bytes("x", a.x_row_stride, a.columns * 2, element);
  args.gemm.y_row_bytes = checks.row_bytes("out", a.out_row_stride, a.columns, element);
  return args;
}

abi::CombineRowsArgs convert(const CombineRowsArgs& a) {
  constexpr Checks checks("combine_rows");
  abi::CombineRowsArgs args{};
  args.tokens = checks.rows("tokens", a.tokens);
  args.top_k = checks.positive("top_k", a.top_k);
  args.gemm.M = checks.rows("tokens * top_k", a.tokens * a.top_k);
  args.columns = checks.columns(a.columns);
  const bool any = a.tokens > 0;
  checks.pointer("rows", a.rows, tensor_alignment, any);
  checks.pointer("out", a.out, tensor_alignment, any);
  checks.pointer("addend", a.addend, tensor_alignment, false);
  checks.pointer("slot_rows", a.slot_rows, sizeof(int), any && a.expert_order, ", and rows are in expert order");
  checks.pointer("token_count", a.token_count, sizeof(int), false);
  checks.weights(a, args.gemm);
  args.gemm.x = a.rows;
  args.gemm.y = a.out;
  args.addend = a.addend;
  args.slot_rows = static_cast<const int*>(a.slot_rows);
  args.token_count = static_cast<const int*>(a.token_count);
  args.expert_order = a.expert_order;
  args.gemm.x_row_bytes = checks.row_bytes("rows", a.rows_row_stride, a.columns, element);
  args.gemm.y_row_bytes = checks.row_bytes("out", a.out_row_stride, a.columns, element);
  args.addend_row_bytes = checks.row_bytes("addend", a.addend_row_stride, a.columns, element);
  if (a.addend != nullptr && a.addend == a.out && args.addend_row_bytes != args.gemm.y_row_bytes)
    throw UsageError("combine_rows: out takes the place of addend with another row stride");
  return args;
}

abi::SwigluGradientArgs convert(const SwigluGradientArgs& a) {
  constexpr Checks checks("swiglu_gradient");
  abi::SwigluGradientArgs args{};
  args.gemm.M = checks.rows("M", a.M);
  args.columns = checks.columns(a.columns, 2);
  const bool any = a.M > 0;
  checks.pointer("d_activation", a.d_activation, tensor_alignment, any);
  checks.pointer("pre_activation", a.pre_activation, tensor_alignment, any);
  checks.pointer("d_pre_activation", a.d_pre_activation, tensor_alignment, any);
  checks.pointer("activation", a.activation, tensor_alignment, false);
  checks.pointer("d_topk_weights", a.d_topk_weights, bytes_of(a.d_topk_weights_type, element), false);
  checks.weights(a, args.gemm);
  checks.indices(a, args.gemm, false);
  args.E = checks.experts(a, args.gemm);
  args.gemm.x = a.d_activation;
  args.gemm.y = a.d_pre_activation;
  args.gemm.pre_activation = const_cast<void*>(a.pre_activation);  // it is read
  args.activation = a.activation;
  args.d_topk_weights = a.d_topk_weights;
  args.d_topk_weights_f32 = a.d_topk_weights_type == WeightType::float32;
  args.scaled_input = a.scaled_input;
  if (a.scaled_input && a.topk_weights != nullptr)
    throw UsageError("swiglu_gradient: with scaled_input pre_activation has the weights in it: leave out topk_weights");
  args.gemm.x_row_bytes = checks.row_bytes("d_activation", a.d_activation_row_stride, a.columns, element);
  args.gemm.pre_activation_row_bytes = checks.row_bytes("pre_activation", a.pre_activation_row_stride, a.columns * 2, element);
  args.gemm.y_row_bytes = checks.row_bytes("d_pre_activation", a.d_pre_activation_row_stride, a.columns * 2, element);
  args.activation_row_bytes = checks.row_bytes("activation", a.activation_row_stride, a.columns, element);
  if (a.d_pre_activation == a.pre_activation && args.gemm.y_row_bytes != args.gemm.pre_activation_row_bytes)
    throw UsageError("swiglu_gradient: d_pre_activation takes the place of pre_activation with another row stride");
  if (a.activation != nullptr && a.activation == a.d_activation && args.activation_row_bytes != args.gemm.x_row_bytes)
    throw UsageError("swiglu_gradient: activation takes the place of d_activation with another row stride");
  return args;
}

}  // namespace moe_tune
