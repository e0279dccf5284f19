// Help, usage errors, exit codes.
#include <catch2/catch.hpp>
#include <fstream>

#include "tests/cli/sandbox.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> verbs = {"tune", "bench", "verify", "list-configs", "emit", "show", "lookup", "explain", "doctor"};

}  // namespace

TEST_CASE("The help names every verb for people, the exit codes and the variables") {
  const Sandbox box;
  const CliResult result = box.run({"--help"});
  CHECK(result.code == 0);
  CHECK(result.err == "");
  for (const std::string& verb : verbs) CHECK_THAT(result.out, Contains("  " + verb + " "));
  CHECK_THAT(result.out, Contains("Exit codes") && Contains("MOE_TUNE_DB") && Contains("Start here") && !Contains("worker"));
}

TEST_CASE("The help of every verb teaches with an example") {
  const Sandbox box;
  for (const std::string& verb : verbs) {
    INFO(verb);
    const CliResult result = box.run({verb, "--help"});
    CHECK(result.code == 0);
    CHECK_THAT(result.out, Contains("moe-tune " + verb) && Contains("Example"));
  }
}

TEST_CASE("The version is one line") {
  const CliResult result = Sandbox().run({"--version"});
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Catch::Matches(R"(\d+\.\d+\.\d+\n)"));
}

TEST_CASE("Bad usage exits with 2, says why on stderr, and prints no result") {
  const Sandbox box;
  const auto [arguments, message] = GENERATE(table<std::vector<std::string>, std::string>({
      {std::vector<std::string>{}, "Start here"},
      {{"frobnicate"}, "frobnicate"},
      {{"tune"}, "--model"},
      {{"tune", "--model", "qwen9"}, "neither a preset"},
      {{"tune", "--model", "qwen3-30b-a3b", "--gemm", "up"}, "gate_up"},
      {{"tune", "--model", "qwen3-30b-a3b", "--device", "h9"}, "h200, h100, a100, rtx4090"},
      {{"tune", "--model", "qwen3-30b-a3b", "--device", "h200", "--tokens", "0"}, "0"},
      {{"tune", "--model", "qwen3-30b-a3b", "--device", "h200", "--tokens", "64:1"}, "64"},
      {{"tune", "--model", "qwen3-30b-a3b", "--device", "h200", "--time", "soon"}, "--time"},
      {{"tune", "--model", "qwen3-30b-a3b", "--device", "h200", "--min-gain", "7"}, "--min-gain"},
      {{"tune", "--model", "qwen3-30b-a3b", "--device", "h200", "--routing", "zipf"}, "zipf"},
      {{"bench", "--model", "qwen3-30b-a3b", "--backward"}, "--block"},
      {{"bench", "--model", "qwen3-30b-a3b", "--block", "--op", "forward,dX,dW"}, "--backward"},
      {{"bench", "--model", "qwen3-30b-a3b", "--block", "--gemm", "down"}, "whole block"},
      {{"bench", "--model", "qwen3-30b-a3b", "--block", "--fuse", "swiglu"}, "whole block"},
      {{"emit", "--model", "qwen3-30b-a3b"}, "--gemm"},
      {{"emit", "--model", "qwen3-30b-a3b", "--gemm", "down", "--config", "fast"}, "sm80_128x128x64_w4m2_s3_c1_mfast"},
      {{"emit", "--model", "qwen3-30b-a3b", "--gemm", "down", "--set", "BLOCK_M=7"}, "16, 32, 48, 64"},
      {{"lookup", "--model", "qwen3-30b-a3b", "--device", "h200"}, "--tokens"},
      {{"list-configs", "--model", "qwen3-30b-a3b", "--device", "h200", "--format", "xml"}, "table"},
      {{"show", "--gemm", "down"}, "--model"},
      {{"verify", "--model", "qwen3-30b-a3b", "--seeds", "2"}, "--device emulator"},
      {{"verify", "--model", "qwen3-30b-a3b", "--device", "emulator", "--seeds", "0"}, "--seeds"},
      {{"verify", "--model", "qwen3-30b-a3b", "--device", "emulator", "--seeds", "many"}, "--seeds"},
      {{"verify", "--model", "qwen3-30b-a3b", "--device", "emulator", "--for", "h9"}, "h200, h100, a100, rtx4090"},
      {{"verify", "--model", "qwen3-30b-a3b", "--device", "emulator", "--config", "fast"}, "sm80_128x128x64_w4m2_s3_c1_mfast"},
  }));
  const CliResult result = box.run(arguments);
  INFO(result.err);
  CHECK(result.code == 2);
  CHECK(result.out == "");
  CHECK_THAT(result.err, Contains(message));
}

TEST_CASE("Without a GPU, tune asks for a device and says which there are") {
  const Sandbox box;
  const CliResult result = box.run({"tune", "--model", box.model()});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("no GPU") && Contains("--device: h200, h100, a100, rtx4090"));
}

TEST_CASE("Without a GPU, bench and verify say that they need one and exit with 3") {
  const Sandbox box;
  for (const std::string verb : {"bench", "verify"}) {
    const CliResult result = box.run({verb, "--model", box.model()});
    INFO(result.err);
    CHECK(result.code == 3);
    CHECK(result.out == "");
    CHECK_THAT(result.err, Contains(verb + " needs a GPU"));
    CHECK((result.err.find("--device emulator") != std::string::npos) == (verb == "verify"));
  }
}

TEST_CASE("bench of a block needs a GPU, too, and its help shows how to time a training") {
  const Sandbox box;
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--block"}, {"--block", "qwen3", "--backward"}}) {
    std::vector<std::string> arguments = {"bench", "--model", box.model()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CliResult result = box.run(arguments);
    INFO(result.err);
    CHECK(result.code == 3);
    CHECK(result.out == "");
    CHECK_THAT(result.err, Contains("bench needs a GPU"));
  }
  CHECK_THAT(box.run({"bench", "--help"}).out,
             Contains("moe-tune bench --block qwen3 --model qwen3-30b-a3b --tokens 8192 --backward"));
}

TEST_CASE("Verbs that want a speed refuse the emulated device and name the verb that takes it") {
  const Sandbox box;
  for (const std::string verb : {"bench", "tune", "list-configs"}) {
    const CliResult result = box.run({verb, "--model", box.model(), "--device", "emulator"});
    INFO(verb << ": " << result.err);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK_THAT(result.err, Contains("moe-tune verify --device emulator"));
  }
}

TEST_CASE("A hostile config.json is an error that names the file") {
  const Sandbox box;
  std::ofstream(box / "bomb.json") << std::string(100'000, '[');
  const CliResult result = box.run({"emit", "--model", (box / "bomb.json").string(), "--gemm", "down"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("bomb.json"));
}
