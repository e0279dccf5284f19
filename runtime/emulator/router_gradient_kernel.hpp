// A router's gradient on the emulated device.
#pragma once

#include <cstdint>

#include "moe_tune/router_problem.hpp"
#include "runtime/emulator/global_memory.hpp"
#include "runtime/emulator/kernel.hpp"
#include "templates/abi/router_gradient.cuh"

namespace moe_tune::emulator {

/// The emitted kernels of a router's gradient, built for the host.
class RouterGradientKernel {
 public:
  explicit RouterGradientKernel(const RouterProblem& problem);
  /// Of a changed source, for tests of what the emulator finds.
  RouterGradientKernel(const RouterProblem& problem, const std::string& source);

  /// Runs what a GPU would launch for the call. Throws KernelFault.
  void launch(GlobalMemory& memory, const abi::RouterGradientArgs& args, std::uint64_t seed) const;

 private:
  RouterProblem problem_;
  Kernel kernel_;
};

}  // namespace moe_tune::emulator
