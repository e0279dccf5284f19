#include "runtime/blocks/load_weights.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

std::string checkpoint(const std::string& name) { return std::string(MOE_TUNE_SOURCE_DIR) + "/tests/golden/" + name; }

}  // namespace

TEST_CASE("A shared expert that the block has not is neither loaded nor compared") {
  WeightShapes shapes = checkpoint_shapes(checkpoint("llama4_bf16"), std::nullopt);
  shapes.model.shared_expert_I = 0;
  OwnedWeights weights = load_weights(checkpoint("llama4_bf16"), 0, shapes, cpu_device);
  CHECK_FALSE(weights.shared_down_proj);
  compare_weights(checkpoint("llama4_bf16"), 0, shapes, weights.addresses(), cpu_device);
  static_cast<std::uint16_t*>(weights.gate_up_proj.data())[7] ^= 1;
  CHECK_THROWS_WITH(compare_weights(checkpoint("llama4_bf16"), 0, shapes, weights.addresses(), cpu_device),
                    Contains("gate_up_proj[0, 0, 7]"));
}

TEST_CASE("A range of the experts is loaded and compared as such") {
  WeightShapes shapes = checkpoint_shapes(checkpoint("qwen3_bf16"), std::nullopt);
  const OwnedWeights whole = load_weights(checkpoint("qwen3_bf16"), 0, shapes, cpu_device);
  shapes.experts = {3, 2};
  const OwnedWeights part = load_weights(checkpoint("qwen3_bf16"), 0, shapes, cpu_device);
  compare_weights(checkpoint("qwen3_bf16"), 0, shapes, part.addresses(), cpu_device);
  CHECK(part.down_proj.size(0) == 2);
  CHECK_THROWS_AS(compare_weights(checkpoint("qwen3_bf16"), 0, shapes, whole.addresses(), cpu_device), UsageError);
}

TEST_CASE("Weights of another shape than the checkpoint's are an error, and nothing is read") {
  WeightShapes shapes = checkpoint_shapes(checkpoint("qwen3_bf16"), std::nullopt);
  const OwnedWeights weights = load_weights(checkpoint("qwen3_bf16"), 0, shapes, cpu_device);
  shapes.model.I /= 2;
  CHECK_THROWS_WITH(compare_weights(checkpoint("qwen3_bf16"), 0, shapes, weights.addresses(), cpu_device),
                    Contains("gate_up_proj is ["));
}
