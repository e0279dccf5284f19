// Micro-tests on the GPU of the current context.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/jit/module.hpp"
#include "tests/ptx/support/micro_test.hpp"

namespace moe_tune::test {

/// The arch to compile the family for on a GPU of `arch`: its specific one ("sm_90a") where the family's kernels are written for
/// it. Empty: they are not written for this GPU.
std::string arch_for(const InstructionFamily& family, const std::string& arch);

/// A family's kernels, compiled and loaded.
class GpuFamily {
 public:
  /// Keeps a reference to the family. Throws CompileError or EnvironmentError.
  GpuFamily(const InstructionFamily& family, const std::string& arch);

  /// The output of one of its tests. Throws EnvironmentError when the driver or the kernel fails.
  std::vector<std::uint32_t> run(const MicroTest& test) const;

 private:
  const InstructionFamily& family_;
  Module module_;
};

}  // namespace moe_tune::test
