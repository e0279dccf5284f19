// How blocks are launched: reruns, graphs, token counts that change between replays, workspaces, threads, bad data, a soak.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "runtime/jit/device.hpp"
#include "tests/gpu/support/block_on_gpu.hpp"
#include "tests/gpu/support/graph.hpp"
#include "tests/gpu/support/soak.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

bool same(const BlockOutputs& a, const BlockOutputs& b) {
  return a.out == b.out && a.router_logits == b.router_logits && a.topk_weights == b.topk_weights &&
         a.selected_experts == b.selected_experts;
}

}  // namespace

TEST_CASE("launching: 100 reruns give the same bits") {
  for (const std::string name : {"qwen3_bf16_top8", "llama4_bf16_top2"}) {
    INFO(name);
    const GoldenCase golden(name);
    BlockOnGpu block(golden);
    const BlockOutputs first = block.run({});
    for (int rerun = 0; rerun < 100; ++rerun) REQUIRE(same(block.run({}), first));
  }
}

TEST_CASE("launching: a captured block serves any number of tokens up to its own") {
  for (const std::string name : {"qwen3_bf16", "llama4_bf16"}) {
    for (const bool overlap : {false, true}) {
      if (overlap && name == "qwen3_bf16") continue;
      const GoldenCase golden(name);
      BlockCall call;
      call.options.overlap_router_shared = overlap;
      call.token_count = static_cast<int>(golden.tokens());
      BlockOnGpu block(golden, call.options);
      const std::int64_t tokens[] = {golden.tokens()};
      block.block().prepare(tokens);
      const DeviceBuffer workspace(block.block().workspace_bytes(golden.tokens()));
      const Stream stream;
      for (const bool own_workspace : {false, true}) {
        MoeForwardArgs args = block.args(call);
        if (own_workspace) {
          args.workspace = workspace.get();
          args.workspace_bytes = workspace.bytes();
        }
        const CapturedGraph graph(stream.get(), [&] { block.block().forward(args, stream.get()); });
        for (const int count : {static_cast<int>(golden.tokens()), 3, 0, 1, static_cast<int>(golden.tokens())}) {
          INFO(name << " overlap " << overlap << " own workspace " << own_workspace << " count " << count);
          call.token_count = count;
          block.args(call);  // poisons outputs, sets the count
          graph.launch(stream.get());
          stream.synchronize();
          CHECK(judge_block(golden, name, call, block.outputs()) == "");
        }
      }
    }
  }
}

TEST_CASE("launching: what is in the workspace before does not matter") {
  const GoldenCase golden("llama4_bf16_top2");
  for (const bool permute_x : {true, false}) {
    BlockCall call;
    call.options.permute_x = permute_x;
    BlockOnGpu block(golden, call.options);
    const BlockOutputs expected = block.run(call);
    DeviceBuffer workspace(block.block().workspace_bytes(golden.tokens()));
    MoeForwardArgs args = block.args(call);
    args.workspace = workspace.get();
    for (const unsigned char byte : {0xff, 0x00, 0x7f}) {
      args.workspace_bytes = workspace.bytes();
      workspace.fill(byte);
      block.args(call);
      block.block().forward(args, nullptr);
      CHECK(same(block.outputs(), expected));
    }
    args.workspace_bytes = workspace.bytes() - 1;
    CHECK_THROWS_WITH(block.block().forward(args, nullptr), Catch::Contains(std::to_string(workspace.bytes())));
  }
}

TEST_CASE("launching: two threads on two streams with one block") {
  const GoldenCase golden("llama4_bf16");
  FusedBlockOptions options;
  options.overlap_router_shared = true;
  BlockOnGpu block(golden, options);
  const BlockOutputs expected = block.run({});
  struct Work {
    OwnedTensor out;
    std::vector<std::uint16_t> bits;
    bool right = true;
  };
  std::vector<Work> work(2);
  const MoeForwardArgs args = block.args({});
  std::vector<std::jthread> threads;
  for (Work& mine : work) {
    mine.out = OwnedTensor(tensor_type(dtype_of(golden)), {golden.tokens(), golden.shape().H}, 0);
    threads.emplace_back([&] {
      const PrimaryContext context(0);
      const CurrentContext current(context.get());
      const Stream stream;
      MoeForwardArgs own = args;
      own.out = mine.out.data();
      own.router_logits = own.selected_experts = own.topk_weights = nullptr;
      for (int step = 0; step < 50; ++step) {
        block.block().forward(own, stream.get());
        stream.synchronize();
        mine.bits.resize(expected.out.size());
        mine.out.read(mine.bits.data(), mine.out.bytes());
        mine.right = mine.right && mine.bits == expected.out;
      }
    });
  }
  threads.clear();
  for (const Work& mine : work) CHECK(mine.right);
}

TEST_CASE("launching: a steady state allocates nothing, and every step gives the same bits") {
  const GoldenCase golden("qwen3_bf16_top8");
  BlockOnGpu block(golden);
  const BlockOutputs expected = block.run({});
  const MoeForwardArgs args = block.args({});
  block.block().forward(args, nullptr);
  const std::size_t before = free_bytes();
  for (int step = 0; step < soak_steps(); ++step) {
    block.block().forward(args, nullptr);
    if (step % 20 == 0) REQUIRE(same(block.outputs(), expected));
  }
  CHECK(same(block.outputs(), expected));
  CHECK(free_bytes() == before);
}

TEST_CASE("launching: a token that is NaN stays alone") {
  const GoldenCase golden("qwen3_bf16");
  BlockOnGpu block(golden);
  const BlockOutputs expected = block.run({});
  block.set_hidden_row(3, 0x7fff);
  const BlockOutputs outputs = block.run({});
  const std::size_t H = static_cast<std::size_t>(golden.shape().H);
  for (std::size_t i = 0; i < outputs.out.size(); ++i) {
    if (i / H == 3) {
      REQUIRE(std::isnan(to_float(outputs.out[i], DType::bf16)));
    } else {
      REQUIRE(outputs.out[i] == expected.out[i]);
    }
  }
  CHECK_FALSE(block.library().status(0));
}

TEST_CASE("launching: experts that are not there are reported and left out") {
  const GoldenCase golden("qwen3_bf16");
  BlockOnGpu block(golden);
  BlockCall call;
  call.inject = true;
  const BlockOutputs expected = block.run(call);
  const MoeForwardArgs args = block.args(call);
  block.set_selected(5, golden.shape().E);
  block.block().forward(args, nullptr);
  const BlockOutputs outputs = block.outputs();
  CHECK(block.library().status(0, true).bad_selected_expert);
  const std::size_t H = static_cast<std::size_t>(golden.shape().H);
  const std::size_t token = static_cast<std::size_t>(5 / golden.shape().top_k);
  for (std::size_t i = 0; i < outputs.out.size(); ++i) {
    if (i / H != token) REQUIRE(outputs.out[i] == expected.out[i]);
    REQUIRE_FALSE(std::isnan(to_float(outputs.out[i], DType::bf16)));
  }
}

TEST_CASE("launching: no tokens") {
  const GoldenCase golden("llama4_bf16");
  BlockOnGpu block(golden);
  MoeForwardArgs args;
  block.block().forward(args, nullptr);
  CHECK(block.block().workspace_bytes(0) < 65536);
  args.tokens = -1;
  CHECK_THROWS_AS(block.block().forward(args, nullptr), UsageError);
}

TEST_CASE("launching: the observer is told every step in order") {
  struct Steps : MoeStepObserver {
    std::vector<std::string> names;
    void on_step(std::string_view step) override { names.emplace_back(step); }
  };
  const GoldenCase golden("llama4_bf16");
  BlockOnGpu block(golden);
  Steps steps;
  block.block().forward(block.args({}), nullptr, &steps);
  CHECK(steps.names == std::vector<std::string>{"shared_expert", "router", "permute", "gate_up", "down", "combine", "end"});
}
