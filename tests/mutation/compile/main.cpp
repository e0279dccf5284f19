// pipelines_compile: the pipelines are CUDA first: each compiles for sm_90a, without a warning, with its accumulators in
// registers. Exit code 0: they do; 1: some do not; 77: the loaded NVRTC does not know sm_90a, so nothing was tried.
#include <fmt/format.h>

#include <exception>

#include "runtime/jit/nvrtc.hpp"
#include "tests/mutation/support/pipeline_case.hpp"
#include "tests/support/compiler_warnings.hpp"

namespace moe_tune::test {
namespace {

constexpr const char* arch = "sm_90a";

int run() {
  if (!nvrtc().supports(arch)) {
    fmt::print("NVRTC {} does not know {}: not tried\n", to_string(nvrtc().version()), arch);
    return 77;
  }
  if (!sees_warnings(arch)) {
    fmt::print("the warning of the control source was not seen\n");
    return 1;
  }
  int failed = 0;
  for (const PipelineCase& pipeline : all_pipeline_cases()) {
    const CompiledKernel kernel = compile(pipeline.source(), arch, pipeline.name + ".cu");
    const bool good = !has_warnings(kernel) && kernel.resources.stack_bytes == 0;
    failed += !good;
    fmt::print("{}: {} registers, {} bytes of stack{}\n", pipeline.name, kernel.resources.registers, kernel.resources.stack_bytes,
               good ? "" : fmt::format(": failed\n{}", kernel.log));
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace moe_tune::test

int main() {
  try {
    return moe_tune::test::run();
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
}
