// The row operations on the GPU, for the cases of tests/support/row_operation_cases.hpp.
#pragma once

#include "runtime/launch/row_operation_kernels.hpp"
#include "tests/gpu/support/gpu_device.hpp"
#include "tests/support/row_operation_cases.hpp"

namespace moe_tune::test {

/// Keeps to the default stream.
class GpuRowDevice : public GpuDevice, public RowDevice {
 public:
  void launch(DType dtype, const abi::PermuteRowsArgs& args) override;
  void launch(DType dtype, const abi::UnpermuteRowsArgs& args) override;
  void launch(DType dtype, const abi::ActAndMulArgs& args) override;
  void launch(DType dtype, const abi::CombineRowsArgs& args) override;
  void launch(DType dtype, const abi::SwigluGradientArgs& args) override;
};

}  // namespace moe_tune::test
