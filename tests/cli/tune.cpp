// tune, show, lookup and explain end to end, for a device that is not here.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "generator/support/json.hpp"
#include "tests/cli/sandbox.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> for_h200(const Sandbox& box, const std::string& verb, std::initializer_list<std::string> more) {
  std::vector<std::string> arguments = {verb, "--model", box.model(), "--device", "h200"};
  arguments.insert(arguments.end(), more);
  return arguments;
}

std::vector<std::string> column(const CliResult& result, const std::string& name) {
  std::vector<std::string> values;
  const auto document = parse_json(result.out, "result");
  for (const JsonView& row : document.root().elements()) values.push_back(row.at(name).string());
  return values;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("tune --dry-run prints the plan and does nothing") {
  const Sandbox box;
  const CliResult result = box.run(for_h200(box, "tune", {"--tokens", "16,64", "--dry-run", "--format", "json"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(column(result, "gemm") == Strings{"gate_up", "gate_up", "down", "down"});
  CHECK_THAT(result.err, Contains("predicting") && Contains("NVIDIA H200"));
  CHECK(!std::filesystem::exists(box / "cache" / "db.json"));
}

TEST_CASE("tune --block is of the problems that a fused block asks for") {
  const Sandbox box;
  const auto problems = [&](std::initializer_list<std::string> more) {
    auto arguments = for_h200(box, "tune", {"--tokens", "16", "--dry-run", "--format", "json", "--block"});
    arguments.insert(arguments.end(), more);
    return column(box.run(arguments), "problem");
  };
  CHECK(problems({}) == Strings{"forward gate_up bf16 E=8 N=512 K=256 top_k=2 permute_x fuse_swiglu",
                                "forward down bf16 E=8 N=256 K=256 top_k=2 permute_y"});
  CHECK(problems({"--unpermuted", "permute_y", "--gemm", "down"}) == Strings{"forward down bf16 E=8 N=256 K=256 top_k=2"});
  const Strings dX = {"dX gate_up bf16 E=8 N=512 K=256 top_k=2", "dX down bf16 E=8 N=256 K=256 top_k=2"};
  CHECK(problems({"--op", "dX"}) == dX);
  CHECK(problems({"--op", "dW", "--fuse", "float32_dw"}) ==
        Strings{"dW gate_up bf16 E=8 N=512 K=256 top_k=2 float32_dw", "dW down bf16 E=8 N=256 K=256 top_k=2 float32_dw"});
  // A training's forward keeps what SwiGLU is made of; its second GEMM is that of any forward.
  CHECK(problems({"--op", "forward,dX,dW"}) ==
        Strings{"forward gate_up bf16 E=8 N=512 K=256 top_k=2 permute_x fuse_swiglu",
                "forward down bf16 E=8 N=256 K=256 top_k=2 permute_y",
                "forward gate_up bf16 E=8 N=512 K=256 top_k=2 permute_x fuse_swiglu keep_pre_activation", dX[0], dX[1],
                "dW gate_up bf16 E=8 N=512 K=256 top_k=2", "dW down bf16 E=8 N=256 K=256 top_k=2"});
}

TEST_CASE("tune --block of a Llama4 training has both ways to its rows, and the shared expert") {
  const Sandbox box;
  const CliResult result = box.run({"tune", "--model", "llama4-scout", "--device", "h200", "--tokens", "16", "--dry-run",
                                    "--format", "json", "--block", "llama4", "--op", "forward,dX,dW", "--gemm", "gate_up"});
  const std::string routed = "gate_up bf16 E=16 N=16384 K=5120 top_k=1";
  const std::string shared = "gate_up bf16 E=1 N=16384 K=5120 top_k=1";
  CHECK(column(result, "problem") ==
        Strings{"forward " + routed + " permute_x fuse_mul_pre fuse_swiglu", "forward " + shared + " fuse_swiglu",
                "forward " + routed + " permute_x fuse_mul_pre fuse_swiglu keep_pre_activation",
                "forward " + shared + " fuse_swiglu keep_pre_activation", "dX " + routed, "dX " + shared, "dW " + routed,
                "dW " + shared, "forward " + routed + " fuse_swiglu", "forward " + routed + " fuse_swiglu keep_pre_activation"});
}

TEST_CASE("tune predicts for a named device, a second run has nothing to do, lookup, show and explain know the result") {
  const Sandbox box;
  const auto tune = for_h200(box, "tune", {"--tokens", "16", "--gemm", "down", "--format", "json"});
  const CliResult first = box.run(tune);
  INFO(first.err);
  REQUIRE(first.code == 0);
  REQUIRE(column(first, "status") == Strings{"predicted"});
  CHECK(column(first, "source") == Strings{"predicted"});
  const std::string config = column(first, "config").front();

  auto quietly = tune;
  quietly.push_back("--quiet");
  const CliResult second = box.run(quietly);
  REQUIRE(second.code == 0);
  CHECK(second.err == "");
  CHECK(column(second, "status") == Strings{"resumed"});
  CHECK(column(second, "config") == Strings{config});

  const CliResult found = box.run(for_h200(box, "lookup", {"--tokens", "16", "--format", "json"}));
  CHECK(column(found, "grade") == Strings{"heuristic", "predicted"});
  CHECK(column(found, "config").back() == config);

  const CliResult elsewhere =
      box.run({"lookup", "--model", box.model(), "--gemm", "down", "--tokens", "16", "--device", "a100", "--format", "json"});
  CHECK(column(elsewhere, "grade") == Strings{"heuristic"});

  const CliResult shown = box.run({"show", "--format", "json"});
  CHECK(column(shown, "config") == Strings{config});
  CHECK(column(shown, "device") == Strings{"NVIDIA H200"});
  CHECK(column(shown, "verify") == Strings{"pass"});
  CHECK(column(shown, "verified_on") == Strings{"emulator"});

  const CliResult why = box.run(for_h200(box, "explain", {"--tokens", "16", "--gemm", "down", "--format", "json"}));
  CHECK(column(why, "step") == Strings{"override", "exact", "nearest", "predicted", "heuristic"});
  CHECK(column(why, "chosen") == Strings{"", "", "", "*", ""});
}

TEST_CASE("An interrupted run exits with 130 and keeps what it did") {
  const Sandbox box;
  const auto tune = for_h200(box, "tune", {"--tokens", "1:8192", "--strategy", "exhaustive", "--format", "json"});
  const auto journal = box / "cache" / "db.json.journal.jsonl";
  const auto journal_grew = [&] {
    std::error_code none;
    const auto size = std::filesystem::file_size(journal, none);
    return !none && size > 0;
  };
  const CliResult interrupted = box.run_and_interrupt(tune, journal_grew);
  INFO(interrupted.err);
  CHECK(interrupted.code == 130);
  CHECK_THAT(interrupted.err, Contains("interrupted"));
  CHECK(box.run({"show"}).code == 0);
  CHECK(journal_grew());
}

TEST_CASE("An override file decides, and a bad one is an error that names key and value") {
  Sandbox box;
  const auto file = box / "override.json";
  box.set("MOE_TUNE_OVERRIDE", file.string());
  std::ofstream(file)
      << R"({"forward.down": {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64, "num_warps": 4, "num_stages": 2}})";
  const CliResult found = box.run(for_h200(box, "lookup", {"--tokens", "16", "--format", "json"}));
  INFO(found.err);
  CHECK(column(found, "grade") == Strings{"heuristic", "override"});
  CHECK_THAT(column(found, "config").back(), Catch::StartsWith("sm80_64x128x64_w4"));
  CHECK_THAT(box.run(for_h200(box, "explain", {"--tokens", "16", "--gemm", "gate_up"})).out,
             Contains("says nothing about gate_up"));

  std::ofstream(file)
      << R"({"forward": {"BLOCK_SIZE_M": 65, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64, "num_warps": 4, "num_stages": 2}})";
  const CliResult bad = box.run(for_h200(box, "lookup", {"--tokens", "16"}));
  CHECK(bad.code == 2);
  CHECK_THAT(bad.err, Contains("override.json") && Contains("BLOCK_SIZE_M") && Contains("65") && Contains("16, 32, 64"));
}

TEST_CASE("An empty database is shown as an empty list") {
  const Sandbox box;
  const CliResult result = box.run({"show", "--format", "json"});
  CHECK(result.code == 0);
  CHECK(result.out == "[]\n");
  CHECK_THAT(result.err, Contains("no entries"));
}

TEST_CASE("A file that is no database is an error that names it") {
  const Sandbox box;
  std::ofstream(box / "notes.json") << R"({"hello": 1})";
  const CliResult result = box.run({"show", "--db", (box / "notes.json").string()});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("notes.json"));
}
