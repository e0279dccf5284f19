// A router's gradient on the emulated device, for the cases of tests/support/router_gradient_cases.hpp.
#pragma once

#include "runtime/emulator/router_gradient_kernel.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/router_gradient_cases.hpp"

namespace moe_tune::test {

/// Runs the kernels of one router's gradient, under the schedule of `seed`.
class EmulatedRouterGradientDevice : public EmulatedDevice, public RouterGradientDevice {
 public:
  EmulatedRouterGradientDevice(const emulator::RouterGradientKernel& kernel, std::uint64_t seed) : kernel_(kernel), seed_(seed) {}

  void launch(const RouterProblem&, const abi::RouterGradientArgs& args) override { kernel_.launch(memory(), args, seed_); }

 private:
  const emulator::RouterGradientKernel& kernel_;
  std::uint64_t seed_;
};

}  // namespace moe_tune::test
