// Trainings of the fused blocks on the golden fixtures.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "runtime/launch/device_memory.hpp"
#include "tests/gpu/support/block_on_gpu.hpp"
#include "tests/gpu/support/graph.hpp"
#include "tests/gpu/support/soak.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

TEST_CASE("training: gradients of fused blocks agree with float64 in every way to work") {
  for_each_training_call(false, [](const GoldenCase& golden, const TrainingCall& call) {
    INFO(call.describe());
    BlockOnGpu block(golden, call.forward.options);
    const GradientBytes gradients = block.train(call);
    CHECK(judge_gradients(golden, call, block.outputs().selected_experts, gradients) == "");
    CHECK_FALSE(block.library().status(0));
  });
}

TEST_CASE("training: a forward that keeps gives what one that does not gives") {
  for (const char* name : {"qwen3_bf16_top8", "llama4_bf16_top2"}) {
    const GoldenCase golden(name);
    BlockOnGpu block(golden);
    const BlockOutputs expected = block.run({});
    block.train({});
    CHECK(block.outputs().out == expected.out);
    CHECK(block.outputs().selected_experts == expected.selected_experts);
  }
}

TEST_CASE("training: what is not asked for is not made, and the rest is the same") {
  const GoldenCase golden("llama4_bf16_top2");
  BlockOnGpu block(golden);
  const GradientBytes all = block.train({});
  for (const auto& [wanted, bytes] : all) {
    BlockOnGpu::Training t = block.training({});
    const std::string& only = wanted;
    place_gradients(t.backward, [&](const std::string& name) { return name == only ? t.gradients.at(name).data() : nullptr; });
    block.block().forward(t.forward, nullptr);
    block.block().backward(t.backward, nullptr);
    for (const auto& [name, now] : t.bytes()) {
      INFO(wanted << ": " << name);
      const bool untouched = std::all_of(now.begin(), now.end(), [](std::byte b) { return b == std::byte{0xff}; });
      CHECK((name == wanted ? now == bytes : untouched));
    }
  }
}

TEST_CASE("training: no tokens") {
  const GoldenCase golden("llama4_bf16");
  BlockOnGpu block(golden);
  BlockOnGpu::Training t = block.training({});
  t.backward.tokens = 0;
  block.block().backward(t.backward, nullptr);
  for (const auto& [name, bytes] : t.bytes()) {
    const std::byte expected{static_cast<unsigned char>(name == "hidden_states" ? 0xff : 0)};
    CHECK(std::all_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b == expected; }));
  }
  const GradientBytes before = t.bytes();
  t.backward.accumulate = true;
  block.block().backward(t.backward, nullptr);
  CHECK(t.bytes() == before);
}

TEST_CASE("training: a graph of forward and backward serves other data and other numbers of tokens") {
  for (const char* name : {"qwen3_bf16_top8", "llama4_bf16_top2"}) {
    const GoldenCase golden(name);
    BlockOnGpu block(golden);
    const std::int64_t tokens[] = {golden.tokens()};
    block.block().prepare_training(tokens);
    TrainingCall call;
    call.forward.token_count = static_cast<int>(golden.tokens());
    BlockOnGpu::Training t = block.training(call);
    const Stream stream;
    const CapturedGraph graph(stream.get(), [&] {
      block.block().forward(t.forward, stream.get());
      block.block().backward(t.backward, stream.get());
    });
    const auto replay = [&] {
      graph.launch(stream.get());
      stream.synchronize();
      return t.bytes();
    };
    CHECK(replay() == block.train(call));
    call.forward.token_count -= 5;
    BlockOnGpu::Training expected = block.training(call);
    block.block().forward(expected.forward, nullptr);
    block.block().backward(expected.backward, nullptr);
    GradientBytes right = expected.bytes();
    GradientBytes found = replay();
    // Rows past the count are of the replay before.
    for (GradientBytes* gradients : {&right, &found})
      gradients->at("hidden_states").resize(static_cast<std::size_t>(call.forward.token_count * golden.shape().H * 2));
    CHECK(found == right);
  }
}

TEST_CASE("training: a steady state allocates nothing, and every step gives the same bits") {
  const GoldenCase golden("qwen3_bf16_top8");
  BlockOnGpu block(golden);
  const GradientBytes expected = block.train({});
  BlockOnGpu::Training t = block.training({});
  const auto step = [&] {
    block.block().forward(t.forward, nullptr);
    block.block().backward(t.backward, nullptr);
  };
  step();
  const std::size_t before = free_bytes();
  for (int number = 0; number < soak_steps(); ++number) {
    step();
    if (number % 20 == 0) REQUIRE(t.bytes() == expected);
  }
  CHECK(t.bytes() == expected);
  CHECK(free_bytes() == before);
}

TEST_CASE("training: memory of the caller's, full of poison, gives the same") {
  for (const char* name : {"qwen3_bf16_top8", "llama4_bf16_top2"}) {
    const GoldenCase golden(name);
    BlockOnGpu block(golden);
    const GradientBytes expected = block.train({});
    CHECK(block.train({}, /*own_workspace*/ true) == expected);
    BlockOnGpu::Training t = block.training({}, /*own_workspace*/ true);
    block.block().forward(t.forward, nullptr);
    t.backward.workspace_bytes = block.block().training_workspace_bytes(golden.tokens()) - 1;
    CHECK_THROWS_AS(block.block().backward(t.backward, nullptr), UsageError);
  }
}

TEST_CASE("training: what cannot be is refused") {
  const GoldenCase golden("qwen3_bf16");
  BlockOnGpu block(golden);
  BlockOnGpu::Training t = block.training({});
  block.block().forward(t.forward, nullptr);
  const auto refused = [&](auto change) {
    MoeBackwardArgs args = t.backward;
    change(args);
    CHECK_THROWS_AS(block.block().backward(args, nullptr), UsageError);
  };
  refused([](MoeBackwardArgs& args) { args.saved = nullptr; });
  refused([](MoeBackwardArgs& args) { args.saved_bytes -= 1; });
  refused([](MoeBackwardArgs& args) { args.d_out = nullptr; });
  refused([](MoeBackwardArgs& args) { args.tokens = -1; });
  refused([](MoeBackwardArgs& args) { args.weights.shared_down_proj = args.weights.gate; });
  refused([](MoeBackwardArgs& args) {
    args.d_hidden_states = nullptr;
    args.weights = {};
  });
  FusedBlockOptions frozen;
  frozen.dX_only = true;
  BlockOnGpu other(golden, frozen);
  CHECK_THROWS_AS(other.block().backward(t.backward, nullptr), UsageError);
  FusedBlockOptions manual;
  manual.autotune = false;
  const std::int64_t one[] = {1};
  manual.kernel_config_fwd = {block.block().selection(Gemm::gate_up, 1).config, block.block().selection(Gemm::down, 1).config};
  BlockOnGpu by_hand(golden, manual);
  CHECK_THROWS_WITH(by_hand.block().prepare_training(one), Catch::Contains("kernel_config_bwd_dX"));
}
