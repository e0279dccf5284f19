// moe-tune run: a layer of a fixture's checkpoint from file to file, on the CPU.
#include <catch2/catch.hpp>

#include "runtime/io/safetensors.hpp"
#include "tests/cli/sandbox.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/worst_row.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

std::string checkpoint(const std::string& name) { return std::string(MOE_TUNE_SOURCE_DIR) + "/tests/golden/" + name; }

/// Writes a fixture's hidden states as the only tensor of a file.
std::string write_input(const Sandbox& box, const GoldenCase& golden, ElementType type) {
  const std::string path = (box / "x.safetensors").string();
  const std::vector<std::int64_t> shape = {golden.tokens(), golden.shape().H};
  const auto bytes = static_cast<std::size_t>(shape[0] * shape[1]) * (type == ElementType::fp32 ? 4 : 2);
  const HostTensor tensor{"x", type, shape, {static_cast<const std::byte*>(golden.data("hidden_states")), bytes}};
  write_safetensors(path, std::span(&tensor, 1));
  return path;
}

}  // namespace

TEST_CASE("run --device cpu computes a layer of either model") {
  for (const std::string name : {"qwen3_bf16", "llama4_bf16_top2", "qwen3_f32"}) {
    INFO(name);
    const Sandbox box;
    const GoldenCase golden(name);
    const ElementType type = golden.dtype() == Storage::float32 ? ElementType::fp32 : ElementType::bf16;
    const std::string output = (box / "y.safetensors").string();
    const CliResult result = box.run({"run", "--checkpoint", checkpoint(name), "--layer", "0", "--input",
                                      write_input(box, golden, type), "--output", output, "--device", "cpu"});
    INFO(result.err);
    REQUIRE(result.code == 0);
    CHECK(result.out == "");
    const SafetensorsFile file(output);
    const HostTensor& out = file.at("hidden_states");
    CHECK(out.shape == std::vector<std::int64_t>{golden.tokens(), golden.shape().H});
    const std::vector<double> values =
        TensorView{out.bytes.data(), golden.dtype()}.row(0, static_cast<int>(golden.tokens() * golden.shape().H));
    CHECK(worst_row(values, golden.values("out"), golden.shape().H) <= 96 * unit_roundoff(golden.dtype()));
    CHECK(file.at("router_logits").shape == std::vector<std::int64_t>{golden.tokens(), golden.shape().E});
    CHECK(file.at("selected_experts").type == ElementType::int32);
    CHECK(file.at("topk_weights").shape == std::vector<std::int64_t>{golden.tokens(), golden.shape().top_k});
  }
}

TEST_CASE("run says what is wrong with its files and flags") {
  const Sandbox box;
  const GoldenCase golden("qwen3_bf16");
  const std::string input = write_input(box, golden, ElementType::bf16);
  const auto run = [&](const std::string& folder, const std::string& layer, std::vector<std::string> more) {
    std::vector<std::string> arguments = {
        "run", "--checkpoint", folder, "--layer", layer, "--input", input, "--output", (box / "y.safetensors").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return box.run(arguments);
  };
  const CliResult layer = run(checkpoint("qwen3_bf16"), "1", {"--device", "cpu"});
  CHECK(layer.code == 2);
  CHECK_THAT(layer.err, Contains("layer 1"));
  const CliResult type = run(checkpoint("qwen3_bf16"), "0", {"--device", "cpu", "--dtype", "fp32"});
  CHECK(type.code == 2);
  CHECK_THAT(type.err, Contains("--dtype"));
  const CliResult shape = run(checkpoint("qwen3_f32_top1"), "0", {"--device", "cpu", "--dtype", "bf16"});
  CHECK(shape.code == (golden.shape().H == GoldenCase("qwen3_f32_top1").shape().H ? 0 : 2));
  const CliResult device = run(checkpoint("qwen3_bf16"), "0", {"--device", "tpu"});
  CHECK(device.code == 2);
  CHECK_THAT(device.err, Contains("cpu and gpu"));
  const CliResult gpu = run(checkpoint("qwen3_bf16"), "0", {});
  CHECK(gpu.code != 0);  // there is none in the sandbox
  CHECK(gpu.err != "");
  CHECK(run("/no/such/folder", "0", {"--device", "cpu"}).code != 0);
}
