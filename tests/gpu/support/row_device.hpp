// The row operations on the GPU, for the cases of tests/support/row_operation_cases.hpp.
#pragma once

#include <deque>

#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/row_operation_kernels.hpp"
#include "tests/support/row_operation_cases.hpp"

namespace moe_tune::test {

/// Keeps to the default stream.
class GpuRowDevice : public RowDevice {
 public:
  void* allocate(const char* name, std::size_t bytes, bool written) override;
  void upload(void* address, std::span<const std::byte> bytes) override;
  void download(const void* address, std::span<std::byte> bytes) override;
  void launch(DType dtype, const abi::PermuteRowsArgs& args) override;
  void launch(DType dtype, const abi::CombineRowsArgs& args) override;
  void launch(DType dtype, const abi::SwigluGradientArgs& args) override;

 private:
  std::deque<DeviceBuffer> buffers_;
};

}  // namespace moe_tune::test
