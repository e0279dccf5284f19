// Micro-tests on the emulated device.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/emulator/kernel.hpp"
#include "tests/ptx/support/micro_test.hpp"

namespace moe_tune::test {

/// A family's kernels, built for the host.
class EmulatedFamily {
 public:
  /// Keeps a reference to the family. Throws EnvironmentError where there is no host compiler.
  explicit EmulatedFamily(const InstructionFamily& family);

  /// The output of one of its tests. Throws KernelFault.
  std::vector<std::uint32_t> run(const MicroTest& test, std::uint64_t seed) const;

 private:
  const InstructionFamily& family_;
  emulator::Kernel kernel_;
};

}  // namespace moe_tune::test
