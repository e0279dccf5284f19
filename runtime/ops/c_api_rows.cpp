// The C API of the row operations over the C++ one.
#include <cstddef>
#include <map>
#include <mutex>

#include "moe_tune/moe_tune.h"
#include "moe_tune/row_operations.hpp"
#include "runtime/ops/c_api_tensor.hpp"

namespace {

using namespace moe_tune;

/// Arguments of the C++ API, and the device of the tensors.
template <class Args>
struct Call {
  int device = 0;
  Args args;
};

/// Takes a tensor of rows on `device`, with a dtype that is named by the tensor `dtype_of`.
Tensor rows_tensor(const char* name, const DLTensor* tensor, std::int64_t rows, std::int64_t columns, int device, DType dtype,
                   const char* dtype_of) {
  const Tensor result(name, tensor, 2);
  if (result.storage_type() != dtype) throw UsageError(fmt::format("{} is not of {}'s dtype", name, dtype_of));
  result.require_shape({rows, columns});
  result.require_device(device);
  return result;
}

/// m_sizes, unless it is NULL.
template <class Given, class Args>
void take_sizes(const Given& a, Args& args, int device) {
  if (a.m_sizes == nullptr) return;
  const Tensor m_sizes("m_sizes", a.m_sizes, 1);
  m_sizes.require_device(device);
  if (m_sizes.size(0) < 1 || m_sizes.size(0) > INT32_MAX) {
    throw UsageError(fmt::format("m_sizes has {} elements: one for each expert is needed", m_sizes.size(0)));
  }
  args.E = static_cast<int>(m_sizes.size(0));
  args.m_sizes = m_sizes.data();
  args.m_sizes_type = m_sizes.index_type();
}

/// gather_indices and m_sizes, those that are not NULL.
template <class Given, class Args>
void take_routing(const Given& a, Args& args, int device) {
  take_sizes(a, args, device);
  if (a.gather_indices != nullptr) {
    const Tensor indices("gather_indices", a.gather_indices, 1);
    indices.require_shape({args.M});
    indices.require_device(device);
    args.gather_indices = indices.data();
    args.gather_indices_type = indices.index_type();
  }
}

/// slot_rows, unless it is NULL.
template <class Given, class Args>
void take_slot_rows(const Given& a, Args& args, std::int64_t M, int top_k, int device) {
  if (a.slot_rows == nullptr) return;
  const Tensor slot_rows = weights_by_slot("slot_rows", a.slot_rows, M, top_k);
  slot_rows.require_int32();
  slot_rows.require_device(device);
  args.slot_rows = slot_rows.data();
}

// What callers compiled against the first version with these structs say.
constexpr std::size_t first_permute_rows_args_size = 40;
constexpr std::size_t first_combine_rows_args_size = 32;
constexpr std::size_t first_swiglu_gradient_args_size = 72;
constexpr std::size_t first_unpermute_rows_args_size = 40;
constexpr std::size_t first_act_and_mul_args_size = 32;
static_assert(offsetof(moe_tune_permute_rows_args, topk_weights) == first_permute_rows_args_size &&
              offsetof(moe_tune_combine_rows_args, addend) == first_combine_rows_args_size &&
              offsetof(moe_tune_swiglu_gradient_args, scaled_input) == first_swiglu_gradient_args_size &&
              sizeof(moe_tune_unpermute_rows_args) == first_unpermute_rows_args_size &&
              sizeof(moe_tune_act_and_mul_args) == first_act_and_mul_args_size);

/// The rows of a tensor are the slots of as many tokens as there are.
void require_slots(const char* name, std::int64_t rows, const char* divisor_name, int divisor) {
  if (divisor < 1) throw UsageError(fmt::format("{} = {}, where 1 or more is needed", divisor_name, divisor));
  if (rows % divisor != 0)
    throw UsageError(fmt::format("{} has {} rows, not a multiple of {} = {}", name, rows, divisor_name, divisor));
}

Call<PermuteRowsArgs> convert(const moe_tune_permute_rows_args* given) {
  const auto a = checked_args(given, first_permute_rows_args_size, "moe_tune_permute_rows_args");
  const Tensor x("x", a.x, 2);
  Call<PermuteRowsArgs> call{x.device(), {}};
  PermuteRowsArgs& args = call.args;
  args.M = Tensor("rows", a.rows, 2).size(0);
  args.columns = x.size(1);
  args.slots_per_row = a.slots_per_row;
  require_slots("rows", args.M, "slots_per_row", a.slots_per_row);
  x.require_shape({args.M / args.slots_per_row, args.columns});
  const Tensor rows = rows_tensor("rows", a.rows, args.M, args.columns, call.device, x.storage_type(), "x");
  if (a.gather_indices == nullptr && a.slot_rows == nullptr) throw UsageError("gather_indices is NULL, and so is slot_rows");
  take_routing(a, args, call.device);
  take_slot_rows(a, args, args.M, a.slots_per_row, call.device);
  args.x = x.data();
  args.rows = rows.data();
  args.dtype = x.storage_type();
  if (a.topk_weights != nullptr) {
    const Tensor weights = weights_by_slot("topk_weights", a.topk_weights, args.M, args.slots_per_row);
    weights.require_device(call.device);
    args.topk_weights = weights.data();
    args.topk_weights_type = weights.weight_type(args.dtype, "x");
  }
  args.x_row_stride = x.stride(0);
  args.rows_row_stride = rows.stride(0);
  return call;
}

Call<UnpermuteRowsArgs> convert(const moe_tune_unpermute_rows_args* given) {
  const auto a = checked_args(given, first_unpermute_rows_args_size, "moe_tune_unpermute_rows_args");
  const Tensor rows("rows", a.rows, 2);
  Call<UnpermuteRowsArgs> call{rows.device(), {}};
  UnpermuteRowsArgs& args = call.args;
  args.M = rows.size(0);
  args.columns = rows.size(1);
  const Tensor out = rows_tensor("out", a.out, args.M, args.columns, call.device, rows.storage_type(), "rows");
  if (a.gather_indices == nullptr) throw UsageError("gather_indices is NULL");
  take_routing(a, args, call.device);
  args.rows = rows.data();
  args.out = out.data();
  args.rows_row_stride = rows.stride(0);
  args.out_row_stride = out.stride(0);
  return call;
}

Call<ActAndMulArgs> convert(const moe_tune_act_and_mul_args* given) {
  const auto a = checked_args(given, first_act_and_mul_args_size, "moe_tune_act_and_mul_args");
  const Tensor out("out", a.out, 2);
  Call<ActAndMulArgs> call{out.device(), {}};
  ActAndMulArgs& args = call.args;
  args.dtype = out.storage_type();
  args.M = out.size(0);
  args.columns = out.size(1);
  const Tensor x = rows_tensor("x", a.x, args.M, args.columns * 2, call.device, args.dtype, "out");
  take_sizes(a, args, call.device);
  args.x = x.data();
  args.out = out.data();
  args.x_row_stride = x.stride(0);
  args.out_row_stride = out.stride(0);
  return call;
}

Call<CombineRowsArgs> convert(const moe_tune_combine_rows_args* given) {
  const auto a = checked_args(given, first_combine_rows_args_size, "moe_tune_combine_rows_args");
  const Tensor rows("rows", a.rows, 2);
  Call<CombineRowsArgs> call{rows.device(), {}};
  CombineRowsArgs& args = call.args;
  args.dtype = rows.storage_type();
  args.top_k = a.top_k;
  require_slots("rows", rows.size(0), "top_k", a.top_k);
  args.tokens = rows.size(0) / a.top_k;
  args.columns = rows.size(1);
  const Tensor out = rows_tensor("out", a.out, args.tokens, args.columns, call.device, args.dtype, "rows");
  if (a.topk_weights != nullptr) {
    const Tensor weights = weights_by_slot("topk_weights", a.topk_weights, rows.size(0), a.top_k);
    weights.require_device(call.device);
    args.topk_weights = weights.data();
    args.topk_weights_type = weights.weight_type(args.dtype, "rows");
  }
  if (a.addend != nullptr) {
    const Tensor addend = rows_tensor("addend", a.addend, args.tokens, args.columns, call.device, args.dtype, "rows");
    args.addend = addend.data();
    args.addend_row_stride = addend.stride(0);
  }
  take_slot_rows(a, args, rows.size(0), a.top_k, call.device);
  if (a.token_count != nullptr) {
    const Tensor count("token_count", a.token_count, 1);
    count.require_shape({1});
    count.require_int32();
    count.require_device(call.device);
    args.token_count = count.data();
  }
  args.expert_order = a.expert_order != 0;
  args.rows = rows.data();
  args.out = out.data();
  args.rows_row_stride = rows.stride(0);
  args.out_row_stride = out.stride(0);
  return call;
}

Call<SwigluGradientArgs> convert(const moe_tune_swiglu_gradient_args* given) {
  const auto a = checked_args(given, first_swiglu_gradient_args_size, "moe_tune_swiglu_gradient_args");
  constexpr const char* first = "d_activation";
  const Tensor gradient(first, a.d_activation, 2);
  Call<SwigluGradientArgs> call{gradient.device(), {}};
  SwigluGradientArgs& args = call.args;
  args.dtype = gradient.storage_type();
  args.M = gradient.size(0);
  args.columns = gradient.size(1);
  const int top_k = a.top_k == 0 ? 1 : a.top_k;
  require_slots(first, args.M, "top_k", top_k);
  const auto rows = [&](const char* name, const DLTensor* tensor, std::int64_t columns) {
    return rows_tensor(name, tensor, args.M, columns, call.device, args.dtype, first);
  };
  const Tensor pre = rows("pre_activation", a.pre_activation, args.columns * 2);
  const Tensor d_pre = rows("d_pre_activation", a.d_pre_activation, args.columns * 2);
  if (a.activation != nullptr) {
    const Tensor activation = rows("activation", a.activation, args.columns);
    args.activation = activation.data();
    args.activation_row_stride = activation.stride(0);
  }
  const auto weights = [&](const char* name, const DLTensor* tensor) {
    const Tensor result = weights_by_slot(name, tensor, args.M, top_k);
    result.require_device(call.device);
    return result;
  };
  if (a.topk_weights != nullptr) {
    const Tensor by_slot = weights("topk_weights", a.topk_weights);
    args.topk_weights = by_slot.data();
    args.topk_weights_type = by_slot.weight_type(args.dtype, first);
  }
  if (a.d_topk_weights != nullptr) {
    const Tensor by_slot = weights("d_topk_weights", a.d_topk_weights);
    args.d_topk_weights = by_slot.data();
    args.d_topk_weights_type = by_slot.weight_type(args.dtype, first);
  }
  take_routing(a, args, call.device);
  args.scaled_input = a.scaled_input != 0;
  args.d_activation = gradient.data();
  args.pre_activation = pre.data();
  args.d_pre_activation = d_pre.data();
  args.d_activation_row_stride = gradient.stride(0);
  args.pre_activation_row_stride = pre.stride(0);
  args.d_pre_activation_row_stride = d_pre.stride(0);
  return call;
}

/// The operations of a device that was asked for; made by the first call.
RowOperations& operations(int device) {
  // Never destroyed, like the library that they use.
  static std::mutex& mutex = *new std::mutex();
  static auto& all = *new std::map<int, RowOperations>();
  const std::lock_guard lock(mutex);
  const auto found = all.find(device);
  if (found != all.end()) return found->second;
  return all.emplace(device, RowOperations(Library::instance(), device)).first->second;
}

}  // namespace

int moe_tune_permute_rows(const moe_tune_permute_rows_args* args, void* stream) {
  return guarded([&] {
    const Call<PermuteRowsArgs> call = convert(args);
    operations(call.device).permute_rows(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_unpermute_rows(const moe_tune_unpermute_rows_args* args, void* stream) {
  return guarded([&] {
    const Call<UnpermuteRowsArgs> call = convert(args);
    operations(call.device).unpermute_rows(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_act_and_mul(const moe_tune_act_and_mul_args* args, void* stream) {
  return guarded([&] {
    const Call<ActAndMulArgs> call = convert(args);
    operations(call.device).act_and_mul(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_combine_rows(const moe_tune_combine_rows_args* args, void* stream) {
  return guarded([&] {
    const Call<CombineRowsArgs> call = convert(args);
    operations(call.device).combine_rows(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_swiglu_gradient(const moe_tune_swiglu_gradient_args* args, void* stream) {
  return guarded([&] {
    const Call<SwigluGradientArgs> call = convert(args);
    operations(call.device).swiglu_gradient(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_prepare_row_operations(int device) {
  return guarded([&] { operations(device).prepare(); });
}
