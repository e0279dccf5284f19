// ptx_compile ARCH: compiles the micro-kernels of every family that is written for ARCH with NVRTC, without a warning. Exit code
// 0: all compile; 1: some do not, and their logs are printed; 77: the loaded NVRTC does not know ARCH, so nothing was tried.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "runtime/jit/nvrtc.hpp"
#include "tests/ptx/cases/families.hpp"
#include "tests/support/compiler_warnings.hpp"

namespace moe_tune::test {
namespace {

bool compiles(const InstructionFamily& family, const std::string& arch) {
  try {
    const CompiledKernel kernel = compile(source(family), arch, family.file);
    if (!has_warnings(kernel)) return true;
    fmt::print("{} for {}: warnings\n{}\n", family.file, arch, kernel.log);
  } catch (const CompileError& error) {
    fmt::print("{}\n", error.what());
  }
  return false;
}

int run(const std::string& arch) {
  if (!nvrtc().supports(arch)) {
    fmt::print("NVRTC {} does not know {}: not tried\n", to_string(nvrtc().version()), arch);
    return 77;
  }
  if (!sees_warnings(arch)) {
    fmt::print("the warning of the control source was not seen\n");
    return 1;
  }
  int tried = 0;
  int failed = 0;
  for (const InstructionFamily& family : families()) {
    if (!archs(family).contains(arch)) continue;
    ++tried;
    failed += !compiles(family, arch);
  }
  fmt::print("{}: {} families tried, {} failed\n", arch, tried, failed);
  return failed == 0 && tried > 0 ? 0 : 1;
}

}  // namespace
}  // namespace moe_tune::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s ARCH\n", argv[0]);
    return 2;
  }
  try {
    return moe_tune::test::run(argv[1]);
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
}
