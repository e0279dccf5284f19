#include "moe_tune/row_operations.hpp"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <string_view>

#include "generator/support/checked.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/launch_kernel.hpp"
#include "runtime/launch/row_operation_kernels.hpp"
#include "runtime/ops/argument_checks.hpp"
#include "runtime/ops/library_state.hpp"

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
  void indices(const Args& a, abi::GroupedGemmArgs& args, bool needed) const {
    pointer("gather_indices", a.gather_indices, bytes_of(a.gather_indices_type), needed);
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
  checks.indices(a, args.gemm, any);
  args.E = checks.experts(a, args.gemm);
  args.gemm.x = a.x;
  args.gemm.y = a.rows;
  args.gemm.x_row_bytes = checks.row_bytes("x", a.x_row_stride, a.columns, element);
  args.gemm.y_row_bytes = checks.row_bytes("rows", a.rows_row_stride, a.columns, element);
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
  checks.weights(a, args.gemm);
  args.gemm.x = a.rows;
  args.gemm.y = a.out;
  args.gemm.x_row_bytes = checks.row_bytes("rows", a.rows_row_stride, a.columns, element);
  args.gemm.y_row_bytes = checks.row_bytes("out", a.out_row_stride, a.columns, element);
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

}  // namespace

struct RowOperations::State {
  Library::State& library;
  DeviceState& device;
  std::mutex loading;
  std::unique_ptr<RowOperationKernels> owned;
  std::atomic<const RowOperationKernels*> ready = nullptr;

  State(Library::State& shared, int ordinal) : library(shared), device(shared.device(ordinal)) {}

  ~State() {
    // Modules unload in their context.
    const CurrentContext current(device.context());
    owned.reset();
  }

  const RowOperationKernels& kernels() {
    if (const RowOperationKernels* loaded = ready.load(std::memory_order_acquire)) return *loaded;
    const std::lock_guard lock(loading);
    if (!owned) {
      owned = std::make_unique<RowOperationKernels>(cubin_cache(), arch_of(device.info()), device.info().sm_count);
      ready.store(owned.get(), std::memory_order_release);
    }
    return *owned;
  }

  /// Calls launch(kernels) in the device's context.
  template <class Launch>
  void run(const char* operation, unsigned*& status, CUstream stream, const Launch& launch) {
    status = device.status_address();
    const CurrentContext current(device.context());
    launch(kernels());
    if (library.options.check_each_call) device.check_status(stream, operation);
  }
};

RowOperations::RowOperations(Library& library, int device) : state_(std::make_unique<State>(*library.state_, device)) {}

RowOperations::~RowOperations() = default;
RowOperations::RowOperations(RowOperations&&) noexcept = default;
RowOperations& RowOperations::operator=(RowOperations&&) noexcept = default;

void RowOperations::permute_rows(const PermuteRowsArgs& args, CUstream stream) {
  abi::PermuteRowsArgs checked = convert(args);
  state_->run("permute_rows", checked.gemm.status, stream,
              [&](const RowOperationKernels& kernels) { kernels.permute_rows(checked, stream); });
}

void RowOperations::combine_rows(const CombineRowsArgs& args, CUstream stream) {
  abi::CombineRowsArgs checked = convert(args);
  state_->run("combine_rows", checked.gemm.status, stream,
              [&](const RowOperationKernels& kernels) { kernels.combine_rows(args.dtype, checked, stream); });
}

void RowOperations::swiglu_gradient(const SwigluGradientArgs& args, CUstream stream) {
  abi::SwigluGradientArgs checked = convert(args);
  state_->run("swiglu_gradient", checked.gemm.status, stream,
              [&](const RowOperationKernels& kernels) { kernels.swiglu_gradient(args.dtype, checked, stream); });
}

void RowOperations::prepare() {
  const CurrentContext current(state_->device.context());
  state_->kernels();
}

}  // namespace moe_tune
