// From an emitted source to host code.
#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "runtime/emulator/kernel.hpp"
#include "tests/emulator/kernel_source.hpp"
#include "tests/support/environment_variable.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;

TEST_CASE("building: sections of ptx/ are replaced, the rest is the emitted source") {
  const std::string source = inline_template("kernels/rows_sm80.cuh");
  const std::string host = emulator::host_source(source);
  CHECK(host.find("asm volatile") == std::string::npos);
  CHECK(host.find("threadIdx") == std::string::npos);
  const std::size_t kernel = source.find("// ---- kernels/rows_sm80.cuh ----");
  REQUIRE(kernel != std::string::npos);
  CHECK(host.ends_with(source.substr(kernel)));
}

TEST_CASE("building: what is no emitted source is refused") {
  CHECK_THROWS_WITH(emulator::host_source("__global__ void k() {}"), Contains("no section of templates/ptx/"));
  CHECK_THROWS_WITH(emulator::host_source("// ---- ptx/unknown.cuh ----\n"), Contains("ptx/unknown.cuh"));
}

TEST_CASE("building: the compiler's messages come back") {
  CHECK_THROWS_WITH(emulator::Kernel(with_templates("#include \"ptx/base.cuh\"\nint nonsense = \"text\";\n")),
                    Contains("refuses the kernel") && Contains("nonsense"));
}

TEST_CASE("building: an entry point that is not there") {
  const emulator::Kernel kernel(with_templates("#include \"ptx/base.cuh\"\nMOE_KERNEL(32, 1) here() {}\n"));
  CHECK(kernel.function("here") != nullptr);
  CHECK_THROWS_WITH(kernel.function("elsewhere"), Contains("no entry point elsewhere"));
}

TEST_CASE("building: no compiler is an error that says what to install") {
  const EnvironmentVariable path("PATH", "/nowhere"), cxx("CXX", ""), own("MOE_TUNE_HOST_CXX", "");
  CHECK_THROWS_WITH(emulator::find_host_compiler(), Contains("Install g++ or clang++") && Contains("MOE_TUNE_HOST_CXX"));
}

TEST_CASE("building: a compiler that is named and not there is not replaced by another") {
  const EnvironmentVariable own("MOE_TUNE_HOST_CXX", "no-such-compiler");
  CHECK_THROWS_WITH(emulator::find_host_compiler(), Contains("no-such-compiler"));
}
