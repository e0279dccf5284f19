#include "moe_tune/row_operations.hpp"

#include <memory>

#include "runtime/jit/driver.hpp"
#include "runtime/launch/row_operation_kernels.hpp"
#include "runtime/ops/library_state.hpp"
#include "runtime/ops/loaded_kernels.hpp"
#include "runtime/ops/row_arguments.hpp"

namespace moe_tune {

struct RowOperations::State {
  Library::State& library;
  DeviceState& device;
  LoadedKernels<RowOperationKernels> loaded;

  State(Library::State& shared, int ordinal) : library(shared), device(shared.device(ordinal)), loaded(device) {}

  const RowOperationKernels& kernels() {
    return loaded.get([this] {
      return std::make_unique<const RowOperationKernels>(cubin_cache(), arch_of(device.info()), device.info().sm_count);
    });
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
              [&](const RowOperationKernels& kernels) { kernels.permute_rows(args.dtype, checked, stream); });
}

void RowOperations::unpermute_rows(const UnpermuteRowsArgs& args, CUstream stream) {
  abi::UnpermuteRowsArgs checked = convert(args);
  state_->run("unpermute_rows", checked.gemm.status, stream,
              [&](const RowOperationKernels& kernels) { kernels.unpermute_rows(checked, stream); });
}

void RowOperations::act_and_mul(const ActAndMulArgs& args, CUstream stream) {
  abi::ActAndMulArgs checked = convert(args);
  state_->run("act_and_mul", checked.gemm.status, stream,
              [&](const RowOperationKernels& kernels) { kernels.act_and_mul(args.dtype, checked, stream); });
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
