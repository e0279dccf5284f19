// The reference blocks on the CPU, from checkpoint folders: those of tests/golden.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "moe_tune/error.hpp"
#include "tests/support/reference_block.hpp"
#include "tests/support/worst_row.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

std::string checkpoint(const std::string& name) { return std::string(MOE_TUNE_SOURCE_DIR) + "/tests/golden/" + name; }

OwnedTensor hidden_states(const GoldenCase& golden) {
  return golden_tensor(golden, "hidden_states", {1, golden.tokens(), golden.shape().H}, cpu_device);
}

template <class Block>
void check_block(const std::string& name) {
  INFO(name);
  const GoldenCase golden(name);
  Block block = Block::from_hf(checkpoint(name), 0);
  CHECK(block.type() == type_of(golden));
  block.check_weights(checkpoint(name), 0);
  const OwnedTensor hidden = hidden_states(golden);
  const OwnedTensor selected = tensor_of_integers(golden_selection(golden), {golden.tokens(), golden.shape().top_k});
  const GroupedGemmResult result = block.forward(hidden, &selected);
  CHECK(result.hidden_states.shape() == hidden.shape());
  // The reference itself is judged in moe_block_golden.cpp; here it is the way from the file to the result.
  const double error = worst_row(host_values(result.hidden_states), golden.values("out"), golden.shape().H);
  CHECK(error <= 96 * unit_roundoff(golden.dtype()));
  CHECK(result.first_gemm.shape() == std::vector<std::int64_t>{golden.tokens() * golden.shape().top_k, 2 * golden.shape().I});
}

}  // namespace

TEST_CASE("Reference blocks of every fixture's checkpoint") {
  for (const std::string& name : GoldenCase::names()) {
    if (name.starts_with("llama4")) {
      check_block<Llama4GroupedGemmTextMoe>(name);
    } else {
      check_block<Qwen3MoeGroupedGemmBlock>(name);
    }
  }
}

TEST_CASE("A block's weights can come from elsewhere, and differences from a checkpoint are found") {
  const GoldenCase golden("qwen3_bf16");
  OwnedWeights weights = Qwen3MoeGroupedGemmBlock::extract_hf_weights(checkpoint("qwen3_bf16"), 0);
  Qwen3MoeGroupedGemmBlock block(golden.shape(), TensorType::bf16, {});
  CHECK_THROWS_WITH(block.forward(hidden_states(golden)), Catch::Contains("copy_weights"));
  block.copy_weights(weights.addresses());
  block.check_weights(checkpoint("qwen3_bf16"), 0);
  const GroupedGemmResult before = block.forward(hidden_states(golden));
  static_cast<std::uint16_t*>(weights.down_proj.data())[5] ^= 0x4000;
  const GroupedGemmResult kept = block.forward(hidden_states(golden));  // the copy is the block's own
  CHECK(std::memcmp(before.hidden_states.data(), kept.hidden_states.data(), kept.hidden_states.bytes()) == 0);
  block.copy_weights(weights.addresses());
  CHECK_THROWS_WITH(block.check_weights(checkpoint("qwen3_bf16"), 0), Catch::Contains("down_proj"));
}

TEST_CASE("What a reference block cannot take is an error") {
  const std::string qwen3 = checkpoint("qwen3_bf16");
  CHECK_THROWS_WITH(Llama4GroupedGemmTextMoe::from_hf(qwen3, 0), Catch::Contains("sigmoid"));
  CHECK_THROWS_WITH(Qwen3MoeGroupedGemmBlock::from_hf(checkpoint("llama4_bf16"), 0), Catch::Contains("Llama4"));
  CHECK_THROWS_AS(Qwen3MoeGroupedGemmBlock::from_hf(qwen3, 1), UsageError);
  Qwen3MoeGroupedGemmBlock block = Qwen3MoeGroupedGemmBlock::from_hf(qwen3, 0);
  CHECK_THROWS_WITH(block.forward(OwnedTensor(TensorType::bf16, {3, 63})), Catch::Contains("hidden size"));
  CHECK_THROWS_WITH(block.forward(OwnedTensor(TensorType::fp16, {3, 64})), Catch::Contains("fp16"));
  const OwnedTensor selected(TensorType::int32, {4, 2});
  CHECK_THROWS_WITH(block.forward(OwnedTensor(TensorType::bf16, {3, 64}), &selected), Catch::Contains("selected_experts"));
  CHECK(block.forward(OwnedTensor(TensorType::bf16, {0, 64})).hidden_states.elements() == 0);
}
