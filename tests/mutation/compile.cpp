// The pipelines are CUDA first: each compiles for sm_90a, without a warning, with its accumulators in registers.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "runtime/jit/compiler.hpp"
#include "runtime/jit/nvrtc.hpp"
#include "tests/mutation/support/pipeline_case.hpp"

namespace moe_tune::test {

TEST_CASE("compile: the pipelines, for sm_90a") {
  const Nvrtc* compiler = try_nvrtc();
  if (compiler == nullptr || !compiler->supports("sm_90a")) {
    WARN("no NVRTC that knows sm_90a: not tried");
    return;
  }
  for (const PipelineCase& pipeline : all_pipeline_cases()) {
    INFO(pipeline.name);
    const CompiledKernel kernel = compile(pipeline.source(), "sm_90a", pipeline.name + ".cu");
    CHECK(kernel.log.find("warning") == std::string::npos);
    CHECK(kernel.resources.warnings.empty());
    CHECK(kernel.resources.stack_bytes == 0);
    fmt::print("{}: {} registers\n", pipeline.name, kernel.resources.registers);
  }
}

}  // namespace moe_tune::test
