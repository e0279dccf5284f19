#include "runtime/jit/resource_report.hpp"

#include <catch2/catch.hpp>

#include "generator/support/file.hpp"

using namespace moe_tune;

namespace {

// What real compilers printed, each for the same two kernels: one that spills (sm_80) and one whose wgmma pipeline is broken by
// arithmetic between the instructions (sm_90a).
ResourceReport report_of(const std::string& log) {
  return parse_resource_report(read_file(MOE_TUNE_SOURCE_DIR "/tests/unit/runtime/jit/logs/" + log + ".log", 1 << 20));
}

}  // namespace

TEST_CASE("resource_report: numbers of a spilling kernel, from every generation of NVRTC") {
  const ResourceReport common{32, 2332, 2508, 904, 4096, {}};
  CHECK(report_of("nvrtc_12_4_spilling") == common);
  CHECK(report_of("nvrtc_12_9_spilling") == common);
  CHECK(report_of("nvrtc_13_0_spilling") == common);
  CHECK(report_of("nvrtc_13_5_spilling") == ResourceReport{32, 2284, 2464, 880, 4096, {}});
}

TEST_CASE("resource_report: warnings about a serialised wgmma pipeline") {
  const ResourceReport oldest = report_of("nvrtc_12_4_serialised");
  CHECK(oldest.registers == 30);
  CHECK(oldest.spill_store_bytes == 0);
  CHECK(oldest.stack_bytes == 0);
  CHECK(oldest.static_smem_bytes == 0);
  REQUIRE(oldest.warnings.size() == 1);
  CHECK_THAT(oldest.warnings[0], Catch::Contains("(C7515) Potential Performance Loss"));

  for (const char* log : {"nvrtc_12_9_serialised", "nvrtc_13_0_serialised"}) {
    const ResourceReport report = report_of(log);
    CHECK(report.registers == 30);
    REQUIRE(report.warnings.size() == 12);
    CHECK_THAT(report.warnings.front(), Catch::Contains("(C7519)"));
    CHECK_THAT(report.warnings.back(), Catch::Contains("(C7511) Potential Performance Loss"));
  }
  CHECK(report_of("nvrtc_13_5_serialised").warnings.size() == 6);
}

TEST_CASE("resource_report: the largest of several kernels") {
  const ResourceReport report = parse_resource_report(
      "ptxas info    : Function properties for a\n"
      "ptxas         .     16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads\n"
      "ptxas info    : Used 40 registers, used 1 barriers, 512 bytes smem\n"
      "ptxas info    : Function properties for b\n"
      "ptxas         .     0 bytes stack frame, 12 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 168 registers, 128 bytes smem");
  CHECK(report == ResourceReport{168, 12, 4, 16, 512, {}});
}

TEST_CASE("resource_report: text without numbers") {
  CHECK(parse_resource_report("") == ResourceReport{});
  CHECK(parse_resource_report("\n\n registers\n bytes smem\nUsed many registers, (C75") == ResourceReport{});
  CHECK(parse_resource_report("99999999999999999999 registers") == ResourceReport{});
  CHECK(parse_resource_report("(C7415) other family\n(C75xx)\n").warnings.empty());
}
