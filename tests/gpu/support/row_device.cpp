#include "tests/gpu/support/row_device.hpp"

#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

namespace {

const RowOperationKernels& kernels() {
  static const RowOperationKernels loaded(cubin_cache(), Gpu::get().arch(), Gpu::get().sm_count());
  return loaded;
}

CUdeviceptr device_pointer(const void* address) { return reinterpret_cast<CUdeviceptr>(address); }

}  // namespace

void* GpuRowDevice::allocate(const char*, std::size_t bytes, bool) { return buffers_.emplace_back(bytes).get(); }

void GpuRowDevice::upload(void* address, std::span<const std::byte> bytes) {
  driver().cuMemcpyHtoD(device_pointer(address), bytes.data(), bytes.size());
  driver().cuStreamSynchronize(nullptr);  // the copy returns when it has read the host's memory
}

void GpuRowDevice::download(const void* address, std::span<std::byte> bytes) {
  driver().cuMemcpyDtoH(bytes.data(), device_pointer(address), bytes.size());
}

void GpuRowDevice::launch(DType, const abi::PermuteRowsArgs& args) {
  kernels().permute_rows(args, nullptr);
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
