// A router on the emulated device, for the cases of tests/support/router_cases.hpp.
#pragma once

#include "runtime/emulator/router_kernel.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/router_cases.hpp"

namespace moe_tune::test {

/// Runs one router's kernels, under the schedule of `seed`.
class EmulatedRouterDevice : public EmulatedDevice, public RouterDevice {
 public:
  EmulatedRouterDevice(const emulator::RouterKernel& kernel, std::uint64_t seed) : kernel_(kernel), seed_(seed) {}

  void launch(const RouterProblem&, const abi::RouterArgs& args, int sm_count) override {
    kernel_.launch(memory(), args, seed_, sm_count);
  }

 private:
  const emulator::RouterKernel& kernel_;
  std::uint64_t seed_;
};

}  // namespace moe_tune::test
