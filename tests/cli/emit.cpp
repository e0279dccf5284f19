#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/jit/compiler.hpp"
#include "tests/cli/sandbox.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

TEST_CASE("emit prints the same self-contained source every time, and NVRTC compiles it") {
  const Sandbox box;
  const std::string gemm = GENERATE("gate_up", "down");
  const std::vector<std::string> arguments = {
      "emit", "--model", box.model(), "--gemm", gemm, "--config", "sm80_64x128x64_w4m2_s4_c2_nfast"};
  const CliResult first = box.run(arguments);
  REQUIRE(first.code == 0);
  CHECK(first.err == "");
  CHECK(box.run(arguments).out == first.out);
  CHECK_THAT(first.out, Contains(", for sm_80 and later\n"));
  CHECK_THAT(first.out, !Contains("#include") && Contains("sm80_64x128x64_w4m2_s4_c2_nfast"));
  CHECK(moe_tune::compile(first.out, "sm_90", "emitted.cu").resources.registers > 0);
}

TEST_CASE("emit prints an sm90 kernel by default, with the fusions asked for, and NVRTC compiles it") {
  const Sandbox box;
  const CliResult result = box.run({"emit", "--model", box.model(), "--gemm", "gate_up", "--fuse", "swiglu,keep_pre_activation"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, !Contains("#include") && Contains("// config: sm90_") && Contains(", for sm_90a\n"));
  CHECK_THAT(result.out, Contains("fuse_swiglu keep_pre_activation\n"));
  const auto compiled = moe_tune::compile(result.out, "sm_90a", "emitted.cu");
  CHECK(compiled.resources.registers > 0);
  CHECK(compiled.resources.spill_store_bytes == 0);
}

TEST_CASE("A fusion goes to the GEMM that it belongs to; one that is left out or unknown is an error") {
  const Sandbox box;
  const CliResult list = box.run(
      {"list-configs", "--model", box.model(), "--device", "h200", "--fuse", "swiglu", "--limit", "1", "--format", "csv"});
  CHECK_THAT(list.out, Contains("gate_up,1,sm90_") && Contains("down,1,"));
  const CliResult left_out = box.run({"emit", "--model", box.model(), "--gemm", "down", "--fuse", "swiglu"});
  CHECK(left_out.code == 2);
  CHECK_THAT(left_out.err, Contains("--fuse: swiglu belongs to gate_up"));
  const CliResult alone = box.run({"emit", "--model", box.model(), "--gemm", "gate_up", "--fuse", "keep_pre_activation"});
  CHECK(alone.code == 2);
  CHECK_THAT(alone.err, Contains("keep_pre_activation needs fuse_swiglu"));
  const CliResult gradients = box.run({"list-configs", "--model", box.model(), "--device", "h200", "--op", "dX,dW", "--fuse",
                                       "float32_dw,accumulate", "--limit", "1", "--format", "csv"});
  CHECK(gradients.code == 0);
  const CliResult forward = box.run({"emit", "--model", box.model(), "--gemm", "down", "--fuse", "accumulate"});
  CHECK(forward.code == 2);
  CHECK_THAT(forward.err, Contains("--fuse: accumulate belongs to dW"));
  const CliResult unknown = box.run({"emit", "--model", box.model(), "--gemm", "gate_up", "--fuse", "gelu"});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, Contains("mul_post") && Contains("swiglu"));
}

TEST_CASE("emit -o writes what emit prints") {
  const Sandbox box;
  const std::vector<std::string> arguments = {"emit", "--model", box.model(), "--gemm", "down", "--set", "BLOCK_M=64,stages=4"};
  const CliResult printed = box.run(arguments);
  auto with_file = arguments;
  with_file.insert(with_file.end(), {"-o", (box / "kernel.cu").string()});
  const CliResult written = box.run(with_file);
  CHECK(written.code == 0);
  CHECK(written.out == "");
  std::ifstream file(box / "kernel.cu");
  CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == printed.out);
}

TEST_CASE("emit into a folder that is not there exits with 3 and names the path") {
  const Sandbox box;
  const CliResult result =
      box.run({"emit", "--model", box.model(), "--gemm", "down", "-o", (box / "none" / "kernel.cu").string()});
  CHECK(result.code == 3);
  CHECK_THAT(result.err, Contains("kernel.cu"));
}

TEST_CASE("A config that cannot serve the problem is refused with the reason") {
  const Sandbox box;
  const CliResult result =
      box.run({"emit", "--model", box.model(), "--gemm", "down", "--device", "a100", "--set", "BLOCK_M=16,warps_m=4"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("16 rows"));
}
