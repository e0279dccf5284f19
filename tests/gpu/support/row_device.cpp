#include "tests/gpu/support/row_device.hpp"

#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

namespace {

const RowOperationKernels& kernels() {
  static const RowOperationKernels loaded(cubin_cache(), Gpu::get().arch(), Gpu::get().sm_count());
  return loaded;
}

}  // namespace

void GpuRowDevice::launch(DType dtype, const abi::PermuteRowsArgs& args) {
  kernels().permute_rows(dtype, args, nullptr);
  driver().cuStreamSynchronize(nullptr);
}

void GpuRowDevice::launch(DType, const abi::UnpermuteRowsArgs& args) {
  kernels().unpermute_rows(args, nullptr);
  driver().cuStreamSynchronize(nullptr);
}

void GpuRowDevice::launch(DType dtype, const abi::ActAndMulArgs& args) {
  kernels().act_and_mul(dtype, args, nullptr);
  driver().cuStreamSynchronize(nullptr);
}

void GpuRowDevice::launch(DType dtype, const abi::CombineRowsArgs& args) {
  kernels().combine_rows(dtype, args, nullptr);
  driver().cuStreamSynchronize(nullptr);
}

void GpuRowDevice::launch(DType dtype, const abi::SwigluGradientArgs& args) {
  kernels().swiglu_gradient(dtype, args, nullptr);
  driver().cuStreamSynchronize(nullptr);
}

}  // namespace moe_tune::test
