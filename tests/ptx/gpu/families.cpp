// Each family on the GPU: the expected values, and what the emulator gives for the same input.
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "moe_tune/error.hpp"
#include "tests/gpu/support/gpu.hpp"
#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/gpu/on_gpu.hpp"
#include "tests/ptx/support/dump.hpp"
#include "tests/ptx/support/emulate.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr int runs = 5;

/// Whether there is a compiler to build kernels for the emulator; says once that there is none.
bool can_emulate() {
  static const bool can = [] {
    try {
      emulator::find_host_compiler();
      return true;
    } catch (const EnvironmentError& error) {
      std::printf("not compared with the emulator: %s\n", error.what());
      return false;
    }
  }();
  return can;
}

/// MOE_TUNE_PTX_TEST, where it is set, selects the tests whose names contain it: after a kernel that faults, no other one of the
/// process runs.
bool is_selected(const MicroTest& test) {
  const char* part = std::getenv("MOE_TUNE_PTX_TEST");
  return part == nullptr || test.name.find(part) != std::string::npos;
}

void check_family(const InstructionFamily& family) {
  const std::string arch = arch_for(family, Gpu::get().arch());
  if (arch.empty()) {
    std::printf("%s: not for %s: not tried\n", family.name.c_str(), Gpu::get().arch().c_str());
    return;
  }
  const GpuFamily on_gpu(family, arch);
  std::optional<EmulatedFamily> emulated;
  if (can_emulate()) emulated.emplace(family);
  for (const MicroTest& test : family.tests) {
    if (!is_selected(test)) continue;
    INFO(family.name << ": " << test.name);
    // Said before it runs: a kernel that hangs leaves nothing else to go by.
    std::printf("%s: %s\n", family.name.c_str(), test.name.c_str());
    std::fflush(stdout);
    std::vector<std::uint32_t> output;
    for (int i = 0; i < runs; ++i) {
      REQUIRE_NOTHROW(output = on_gpu.run(test));
      CHECK(difference(test, test.expected, output) == "");
    }
    if (emulated) CHECK(difference(test, emulated->run(test, 0), output) == "");
    dump(family, test, output);
  }
}

}  // namespace

#define MOE_TUNE_CHECK_FAMILY(name) \
  TEST_CASE("ptx: " #name) { check_family(name##_family()); }
MOE_TUNE_PTX_FAMILIES(MOE_TUNE_CHECK_FAMILY)
