// The row operations on the emulated device, for the cases of tests/support/row_operation_cases.hpp.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/emulator/launch.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/row_case.hpp"

namespace moe_tune::test {

/// `kernel`: the module kernels/row_operations.cuh, which runs under the schedule of `seed`.
class EmulatedRowDevice : public EmulatedDevice, public RowDevice {
 public:
  EmulatedRowDevice(const emulator::Kernel& kernel, std::uint64_t seed) : kernel_(kernel), seed_(seed) {}

  void launch(DType dtype, const abi::PermuteRowsArgs& args) override {
    const std::string name = args.slot_rows == nullptr ? "moe_tune_permute_" : "moe_tune_spread_";
    run(args.gemm.topk_weights == nullptr ? name + "rows" : typed(name + "scaled_rows_", dtype), args);
  }
  void launch(DType, const abi::UnpermuteRowsArgs& args) override { run("moe_tune_unpermute_rows", args); }
  void launch(DType dtype, const abi::ActAndMulArgs& args) override { run(typed("moe_tune_act_and_mul_", dtype), args); }
  void launch(DType dtype, const abi::CombineRowsArgs& args) override { run(typed("moe_tune_combine_rows_", dtype), args); }
  void launch(DType dtype, const abi::SwigluGradientArgs& args) override { run(typed("moe_tune_swiglu_gradient_", dtype), args); }

 private:
  static std::string typed(const std::string& name, DType dtype) { return name + std::string(to_string(dtype)); }

  /// Few blocks: each walks over several rows.
  template <class Args>
  void run(const std::string& name, const Args& args) {
    if (args.gemm.M == 0) return;
    const emulator::Launch launch{.blocks = 2, .threads = abi::row_operation_threads, .seed = seed_};
    emulator::run(memory(), launch, kernel_, name.c_str(), args);
  }

  const emulator::Kernel& kernel_;
  std::uint64_t seed_;
};

}  // namespace moe_tune::test
