// ptx_compile ARCH: compiles the micro-kernels of every family that is written for ARCH with NVRTC, without a warning. Exit code
// 0: all compile; 1: some do not, and their logs are printed; 77: the loaded NVRTC does not know ARCH, so nothing was tried.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

#include "runtime/jit/nvrtc.hpp"
#include "tests/ptx/cases/families.hpp"
#include "tests/support/compiler_warnings.hpp"

namespace moe_tune::test {
namespace {

/// What the compiler has against the family; empty for nothing.
std::string complaint(const InstructionFamily& family, const std::string& arch) {
  try {
    const CompiledKernel kernel = compile(source(family), arch, family.file);
    return has_warnings(kernel) ? fmt::format("{} for {}: warnings\n{}\n", family.name, arch, kernel.log) : "";
  } catch (const std::exception& error) {
    return fmt::format("{}\n", error.what());
  }
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
  std::vector<InstructionFamily> claiming = families();
  std::erase_if(claiming, [&](const InstructionFamily& family) { return !archs(family).contains(arch); });
  std::vector<std::string> complaints(claiming.size());
  std::atomic<std::size_t> next = 0;
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
      workers.emplace_back([&] {
        for (std::size_t index = next++; index < claiming.size(); index = next++) {
          complaints[index] = complaint(claiming[index], arch);
        }
      });
    }
  }
  for (const std::string& text : complaints) fmt::print("{}", text);
  const auto failed = std::ranges::count_if(complaints, [](const std::string& text) { return !text.empty(); });
  fmt::print("{}: {} families tried, {} failed\n", arch, claiming.size(), failed);
  return failed == 0 && !claiming.empty() ? 0 : 1;
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
