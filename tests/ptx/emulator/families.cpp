// Each family in the emulator: under every seed the expected values.
#include <catch2/catch.hpp>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/dump.hpp"
#include "tests/ptx/support/emulate.hpp"
#include "tests/ptx/support/values.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr std::uint64_t seeds = 8;  // twice through the emulator's four ways of scheduling

void check_family(const InstructionFamily& family) {
  const EmulatedFamily emulated(family);
  for (const MicroTest& test : family.tests) {
    INFO(family.name << ": " << test.name);
    Words output;
    bool good = true;
    // One failing seed tells enough.
    for (std::uint64_t seed = 0; seed < seeds && good; ++seed) {
      INFO("seed " << seed);
      CHECK_NOTHROW(output = emulated.run(test, seed));
      good = difference(test, test.expected, output) == "";
      if (!good) FAIL_CHECK(difference(test, test.expected, output));
    }
    dump(family, test, output);
  }
}

}  // namespace

#define MOE_TUNE_CHECK_FAMILY(name) \
  TEST_CASE("ptx: " #name) { check_family(name##_family()); }
MOE_TUNE_PTX_FAMILIES(MOE_TUNE_CHECK_FAMILY)
