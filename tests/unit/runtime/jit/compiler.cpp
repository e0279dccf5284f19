#include "runtime/jit/compiler.hpp"

#include <catch2/catch.hpp>

#include "runtime/jit/nvrtc.hpp"

using namespace moe_tune;

namespace {

const std::string source =
    "extern \"C\" __global__ void k(float* p) {\n"
    "  __shared__ float s[64];\n"
    "  s[threadIdx.x] = p[threadIdx.x];\n"
    "  __syncthreads();\n"
    "  p[threadIdx.x] = s[63 - threadIdx.x];\n"
    "}\n";

}  // namespace

TEST_CASE("compiler: a cubin with its resource report") {
  const CompiledKernel kernel = compile(source, "sm_80", "k.cu");
  CHECK(kernel.cubin.substr(0, 4) ==
        "\x7f"
        "ELF");
  CHECK(kernel.resources.registers > 0);
  CHECK(kernel.resources.static_smem_bytes == 256);
  CHECK(kernel.resources.spill_store_bytes == 0);
  CHECK(kernel.resources == parse_resource_report(kernel.log));
}

TEST_CASE("compiler: the same source gives the same cubin") {
  CHECK(compile(source, "sm_80", "k.cu").cubin == compile(source, "sm_80", "k.cu").cubin);
  CHECK(compile(source, "sm_80", "k.cu").cubin != compile(source, "sm_90", "k.cu").cubin);
}

TEST_CASE("compiler: a source that does not compile") {
  try {
    compile("extern \"C\" __global__ void k() { nonsense }", "sm_80", "broken.cu");
    FAIL("no exception");
  } catch (const CompileError& error) {
    CHECK_THAT(error.log(), Catch::Contains("nonsense"));
    CHECK_THAT(error.what(), Catch::Contains("broken.cu does not compile for sm_80") && Catch::Contains(error.log()));
  }
}

TEST_CASE("compiler: an arch that this NVRTC does not know is not the kernel's fault") {
  try {
    compile(source, "sm_999", "k.cu");
    FAIL("no exception");
  } catch (const CompileError&) {
    FAIL("blamed on the kernel");
  } catch (const EnvironmentError& error) {
    CHECK_THAT(error.what(), Catch::Contains("sm_999") && Catch::Contains("sm_80") && Catch::Contains("MOE_TUNE_NVRTC"));
  }
}

TEST_CASE("compiler: its identity names the version and every flag") {
  const std::string identity = nvrtc_compiler().identity();
  CHECK_THAT(identity, Catch::Contains(to_string(nvrtc().version())));
  for (const std::string& flag : compile_flags()) CHECK_THAT(identity, Catch::Contains(flag));
}
