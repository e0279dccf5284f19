// A router on the emulated device.
#pragma once

#include <cstdint>

#include "moe_tune/router_problem.hpp"
#include "runtime/emulator/global_memory.hpp"
#include "runtime/emulator/kernel.hpp"
#include "templates/abi/router.cuh"

namespace moe_tune::emulator {

/// The emitted kernels of a router, built for the host.
class RouterKernel {
 public:
  explicit RouterKernel(const RouterProblem& problem);
  /// Of a changed source, for tests of what the emulator finds.
  RouterKernel(const RouterProblem& problem, const std::string& source);

  /// Runs what a GPU with `sms` SMs would launch for the call. Throws KernelFault.
  void launch(GlobalMemory& memory, const abi::RouterArgs& args, std::uint64_t seed, int sms = 2) const;

 private:
  RouterProblem problem_;
  Kernel kernel_;
};

}  // namespace moe_tune::emulator
