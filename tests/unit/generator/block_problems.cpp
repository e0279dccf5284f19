#include "generator/block_problems.hpp"

#include <catch2/catch.hpp>

#include "generator/models.hpp"

using namespace moe_tune;

TEST_CASE("A Qwen3 block gathers its rows and fuses SwiGLU") {
  const auto problems = block_problems(find_model("qwen3-30b-a3b"), DType::bf16);
  REQUIRE(problems.size() == 2);
  CHECK(describe(problems[0]) == "forward gate_up bf16 E=128 N=1536 K=2048 top_k=8 permute_x fuse_swiglu");
  CHECK(describe(problems[1]) == "forward down bf16 E=128 N=2048 K=768 top_k=8 permute_y");
}

TEST_CASE("A Llama4 block scales the rows that it gathers, and has a shared expert of one") {
  const ModelShape model = find_model("llama4-scout");
  auto problems = block_problems(model, DType::fp16);
  REQUIRE(problems.size() == 4);
  CHECK(describe(problems[0]) == "forward gate_up fp16 E=16 N=16384 K=5120 top_k=1 permute_x fuse_mul_pre fuse_swiglu");
  CHECK(describe(problems[1]) == "forward down fp16 E=16 N=5120 K=8192 top_k=1 permute_y");
  CHECK(describe(problems[2]) == "forward gate_up fp16 E=1 N=16384 K=5120 top_k=1 fuse_swiglu");
  CHECK(describe(problems[3]) == "forward down fp16 E=1 N=5120 K=8192 top_k=1");
  SECTION("rows that are moved before it are scaled then") {
    problems = block_problems(model, DType::fp16, {.permute_x = false, .permute_y = false});
    REQUIRE(problems.size() == 4);
    CHECK(describe(problems[0]) == "forward gate_up fp16 E=16 N=16384 K=5120 top_k=1 fuse_swiglu");
    CHECK(describe(problems[1]) == "forward down fp16 E=16 N=5120 K=8192 top_k=1");
  }
}

TEST_CASE("The GEMMs of every preset's block are valid") {
  constexpr BlockPass all[] = {BlockPass::inference, BlockPass::training, BlockPass::dX, BlockPass::dW, BlockPass::dW_added};
  for (const ModelShape& model : preset_models()) {
    for (const bool permute : {false, true}) {
      for (const Problem& problem : block_problems(model, DType::bf16, {permute, permute, permute}, all)) {
        INFO(describe(problem));
        CHECK_NOTHROW(validate(problem));
      }
    }
  }
}

TEST_CASE("Gradients of a block have their rows in expert order") {
  constexpr BlockPass passes[] = {BlockPass::dX, BlockPass::dW};
  const auto problems = block_problems(find_model("qwen3-30b-a3b"), DType::bf16, {}, passes);
  REQUIRE(problems.size() == 4);
  CHECK(describe(problems[0]) == "dX gate_up bf16 E=128 N=1536 K=2048 top_k=8");
  CHECK(describe(problems[1]) == "dX down bf16 E=128 N=2048 K=768 top_k=8");
  CHECK(describe(problems[2]) == "dW gate_up bf16 E=128 N=1536 K=2048 top_k=8");
  CHECK(describe(problems[3]) == "dW down bf16 E=128 N=2048 K=768 top_k=8");
}

TEST_CASE("A training's forward keeps what SwiGLU is made of, and its second GEMM is that of any forward") {
  constexpr BlockPass passes[] = {BlockPass::inference, BlockPass::training};
  const auto problems = block_problems(find_model("llama4-scout"), DType::bf16, {.permute_x = false}, passes);
  REQUIRE(problems.size() == 6);
  CHECK(describe(problems[4]) == "forward gate_up bf16 E=16 N=16384 K=5120 top_k=1 fuse_swiglu keep_pre_activation");
  CHECK(describe(problems[5]) == "forward gate_up bf16 E=1 N=16384 K=5120 top_k=1 fuse_swiglu keep_pre_activation");
}

TEST_CASE("Gradients of a block's weights are what its options say") {
  const ModelShape model = find_model("llama4-scout");
  const auto describe_dW = [&](bool float32, BlockPass pass) {
    return describe(block_problem(model, DType::fp16, {.float32_dw = float32}, BlockGemm::shared_down, pass));
  };
  CHECK(describe_dW(false, BlockPass::dW) == "dW down fp16 E=1 N=5120 K=8192 top_k=1");
  CHECK(describe_dW(true, BlockPass::dW) == "dW down fp16 E=1 N=5120 K=8192 top_k=1 float32_dw");
  CHECK(describe_dW(false, BlockPass::dW_added) == "dW down fp16 E=1 N=5120 K=8192 top_k=1 accumulate");
  CHECK(describe_dW(true, BlockPass::dW_added) == "dW down fp16 E=1 N=5120 K=8192 top_k=1 float32_dw accumulate");
}
