// verify on the emulated device, as a user without a GPU runs it.
#include <catch2/catch.hpp>

#include "generator/support/json.hpp"
#include "tests/cli/sandbox.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> emulated(const Sandbox& box, std::initializer_list<std::string> more) {
  std::vector<std::string> arguments = {"verify", "--model", box.model(), "--device", "emulator"};
  arguments.insert(arguments.end(), more);
  return arguments;
}

}  // namespace

TEST_CASE("verify --device emulator runs the chosen configs of a model on a machine without a GPU") {
  const Sandbox box;
  const CliResult result = box.run(emulated(box, {"--tokens", "1,5", "--seeds", "2", "--for", "rtx4090", "--format", "json"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  const auto document = parse_json(result.out, "verify");
  int cases = 0;
  for (const JsonView& row : document.root().elements()) {
    ++cases;
    CHECK(row.at("result").string() == "verified");
    CHECK(row.at("max_rel_err").number() > 0);
    CHECK(row.at("message").string() == "");
  }
  CHECK(cases == 8);  // GEMMs, token counts, routings
}

TEST_CASE("verify --device emulator runs the gradients, of dW those experts alone that have rows and one that has none") {
  const Sandbox box;
  const CliResult result = box.run(emulated(box, {"--gemm", "down", "--op", "dX,dW", "--tokens", "5", "--seeds", "1"}));
  INFO(result.out << result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Contains("dX") && Contains("dW") && Contains("verified") && !Contains("fault"));
}

TEST_CASE("verify --device emulator takes any config, and needs no CUDA when it is named") {
  Sandbox box;
  box.set("MOE_TUNE_NVRTC", (box / "libnvrtc.so").string());
  const CliResult result = box.run(emulated(
      box, {"--gemm", "down", "--tokens", "3", "--config", "sm80_32x128x64_w4m1_s4_c2_nfast,sm80_64x64x64_w4m2_s3_c1_mfast"}));
  INFO(result.out << result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Contains("sm80_32x128x64_w4m1_s4_c2_nfast") && Contains("verified"));
}

TEST_CASE("verify --device emulator says why a config cannot serve the problem") {
  const Sandbox box;
  const CliResult result =
      box.run(emulated(box, {"--gemm", "down", "--tokens", "3", "--config", "sm80_16x128x64_w4m4_s2_c1_mfast"}));
  CHECK(result.code == 1);
  CHECK_THAT(result.out, Contains("compile_error") && Contains("16 rows"));
}

TEST_CASE("verify --device emulator without a host compiler says what to install") {
  Sandbox box;
  box.set("PATH", "/nonexistent");
  box.set("MOE_TUNE_HOST_CXX", "");
  box.set("CXX", "");
  const CliResult result =
      box.run(emulated(box, {"--gemm", "down", "--tokens", "3", "--config", "sm80_64x64x64_w4m2_s3_c1_mfast"}));
  CHECK(result.code == 3);
  CHECK(result.out == "");
  CHECK_THAT(result.err, Contains("Install g++"));
}
