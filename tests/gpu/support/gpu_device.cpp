#include "tests/gpu/support/gpu_device.hpp"

#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

namespace {

CUdeviceptr device_pointer(const void* address) { return reinterpret_cast<CUdeviceptr>(address); }

}  // namespace

void* GpuDevice::allocate(const char*, std::size_t bytes, bool) { return buffers_.emplace_back(bytes).get(); }

void GpuDevice::upload(void* address, std::span<const std::byte> bytes) {
  driver().cuMemcpyHtoD(device_pointer(address), bytes.data(), bytes.size());
  driver().cuStreamSynchronize(nullptr);  // the copy returns when it has read the host's memory
}

void GpuDevice::download(const void* address, std::span<std::byte> bytes) {
  driver().cuMemcpyDtoH(bytes.data(), device_pointer(address), bytes.size());
}

}  // namespace moe_tune::test
