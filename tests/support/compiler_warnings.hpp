#pragma once

#include "runtime/jit/compiler.hpp"

namespace moe_tune::test {

/// Whether the front end warned, or ptxas about the pipeline.
inline bool has_warnings(const CompiledKernel& kernel) {
  return kernel.log.find("warning") != std::string::npos || !kernel.resources.warnings.empty();
}

/// Whether warnings are seen at all: if not, every test that looks for them would pass.
inline bool sees_warnings(const std::string& arch) {
  return has_warnings(compile("__global__ void k() { int unused; }", arch, "control.cu"));
}

}  // namespace moe_tune::test
