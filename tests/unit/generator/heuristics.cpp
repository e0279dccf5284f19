#include "generator/heuristics.hpp"

#include <catch2/catch.hpp>

#include "generator/block_problems.hpp"
#include "generator/config_space.hpp"
#include "moe_tune/error.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

TEST_CASE("The default config is in the space of every problem, device and number of tokens") {
  for (const DeviceDescription& device : known_devices()) {
    for (const Problem& problem : test::sample_problems()) {
      for (int tokens = 1; tokens <= 32768; tokens *= 2) {
        INFO(describe(problem) << ", " << tokens << " tokens on " << device.key);
        CHECK(in_config_space(problem, default_config(problem, tokens, device), device));
      }
    }
  }
}

TEST_CASE("The default of dW is a large tile of the device's family, in the space of every problem") {
  for (const DeviceDescription& device : known_devices()) {
    for (Problem problem : test::sample_problems()) {
      problem.op = Op::dW;
      INFO(describe(problem) << " on " << device.key);
      CHECK(in_config_space(problem, default_config(problem, 1024, device), device));
    }
  }
  Problem problem = test::qwen3_gate_up();
  problem.op = Op::dW;
  CHECK(to_string(default_config(problem, 1024, find_device("a100"))) == "sm80_128x128x64_w8m2_s3_c1_mfast");
  CHECK(to_string(default_config(problem, 1024, find_device("h200"))) ==
        "sm90_128x192x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_dispatch");
}

TEST_CASE("The default gathers many rows in the kernel where that is for few columns") {
  Problem problem = test::qwen3_down();
  problem.op = Op::dX;
  REQUIRE(problem.permute_y);
  CHECK(default_config(problem, 8192, find_device("h200")).gather == Gather::in_kernel);  // 768 columns
  CHECK(default_config(problem, 32768, find_device("h200")).gather == Gather::copy_ahead);
  problem.K = 4096;
  CHECK(default_config(problem, 8192, find_device("h200")).gather == Gather::copy_ahead);
}

TEST_CASE("The default config is in the space at the limits of a problem") {
  Problem problem;
  problem.K = GENERATE(8, 32, 64, 128, 1 << 20);
  problem.N = GENERATE(8, 1 << 20);
  problem.E = GENERATE(1, 2048);
  problem.top_k = GENERATE(1, 64);
  for (const DeviceDescription& device : known_devices()) {
    for (const std::int64_t tokens : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 40}) {
      INFO(describe(problem) << ", " << tokens << " tokens on " << device.key);
      CHECK(in_config_space(problem, default_config(problem, tokens, device), device));
    }
  }
}

TEST_CASE("The default's rows of a tile grow with the rows per expert") {
  const Problem problem = test::qwen3_gate_up();
  for (const std::string_view key : {"h200", "a100"}) {
    const DeviceDescription& device = find_device(key);
    CHECK(default_config(problem, 1, device).BLOCK_M == 16);
    // 128 experts, 8 per token: 32 rows per expert.
    CHECK(default_config(problem, 512, device).BLOCK_M == (key == "h200" ? 48 : 32));
    CHECK(default_config(problem, 32768, device).BLOCK_M == (key == "h200" ? 192 : 128));
    int last = 0;
    for (int tokens = 1; tokens <= 32768; tokens *= 2) {
      const int rows = default_config(problem, tokens, device).BLOCK_M;
      CHECK(rows >= last);
      last = rows;
    }
  }
}

TEST_CASE("The default is of family sm90 where that runs and serves the problem") {
  for (const DeviceDescription& device : known_devices()) {
    const Family wanted = device.compute_capability() == 90 ? Family::sm90 : Family::sm80;
    for (int tokens = 1; tokens <= 32768; tokens *= 2) {
      CHECK(default_config(test::qwen3_gate_up(), tokens, device).family == wanted);
      CHECK(default_config(test::qwen3_down(), tokens, device).family == wanted);
    }
  }
  DeviceDescription device = find_device("h200");
  device.cc_major = 10;
  CHECK(default_config(test::qwen3_gate_up(), 64, device).family == Family::sm80);
  // Less shared memory than any sm90 config needs for a prefix sum over this many experts.
  Problem problem = test::qwen3_gate_up();
  problem.E = 4096;
  device = find_device("h200");
  device.shared_per_block = 65536;
  CHECK(default_config(problem, 8, device).family == Family::sm80);
}

TEST_CASE("The sm90 default: streaming blocks for few rows, ping-pong over a queue for many") {
  const DeviceDescription& device = find_device("h200");
  const Problem up = test::qwen3_gate_up();
  CHECK(to_string(default_config(up, 64, device)) == "sm90_16x64x64_weights_coop_w8_s8_c2_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(up, 512, device)) == "sm90_48x128x64_weights_coop_w12_s4_c2_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(up, 1024, device)) == "sm90_96x256x64_weights_coop_w12_s4_c1_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(up, 2048, device)) == "sm90_192x256x64_weights_coop_w12_s3_c1_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(up, 4096, device)) == "sm90_192x128x64_weights_pingpong_w12_s5_c1_x2_queue_mfast_dispatch");
  CHECK(to_string(default_config(up, 8192, device)) == "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_copyahead");
  Problem fused = up;
  fused.fuse_swiglu = true;
  CHECK(to_string(default_config(fused, 64, device)) == "sm90_16x128x64_weights_coop_w8_s5_c2_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(fused, 512, device)) == "sm90_48x128x64_weights_coop_w8_s4_c2_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(fused, 1024, device)) == "sm90_96x256x64_weights_coop_w12_s4_c1_x1_static_mfast_inkernel");
  // One warp is left to gather: too few for many rows.
  fused.fuse_mul_pre = true;
  CHECK(to_string(default_config(fused, 512, device)) == "sm90_48x128x64_weights_coop_w8_s4_c2_x1_static_mfast_inkernel");
  CHECK(to_string(default_config(fused, 1024, device)) == "sm90_96x128x64_weights_coop_w8_s7_c1_x1_static_mfast_dispatch");
  // Nothing to gather in the second GEMM.
  const Problem down = test::qwen3_down();
  CHECK(to_string(default_config(down, 64, device)) == "sm90_16x64x64_weights_coop_w8_s8_c2_x1_static_mfast_dispatch");
  CHECK(to_string(default_config(down, 1024, device)) == "sm90_96x128x64_weights_coop_w12_s7_c1_x1_static_mfast_dispatch");
}

TEST_CASE("The sm90 default makes clusters for many rows where the weight tiles are even in number") {
  Problem problem = test::qwen3_gate_up();
  CHECK(default_config(problem, 8192, find_device("h200")).cluster == 2);
  CHECK(default_config(problem, 64, find_device("h200")).cluster == 1);
  problem.N = 3 * 128;
  CHECK(default_config(problem, 8192, find_device("h200")).cluster == 1);
}

TEST_CASE("One expert that every row goes to is served like one of many with as many rows") {
  const DeviceDescription& device = find_device("h200");
  const auto problems = block_problems(find_model("llama4-scout"), DType::bf16);
  const Problem& up = problems.at(2);
  const Problem& down = problems.at(3);
  REQUIRE(up.E == 1);
  CHECK(to_string(default_config(up, 1, device)) == "sm90_16x128x64_weights_coop_w8_s5_c2_x1_static_mfast_dispatch");
  CHECK(to_string(default_config(up, 8192, device)) == "sm90_192x128x64_weights_pingpong_w12_s5_c1_x2_queue_mfast_dispatch");
  CHECK(to_string(default_config(down, 8192, device)) == "sm90_192x128x64_weights_pingpong_w12_s5_c1_x2_queue_mfast_dispatch");
  // 40 tiles of 128 columns would leave 92 SMs without any.
  CHECK(to_string(default_config(down, 32, device)) == "sm90_48x64x64_weights_coop_w8_s7_c2_x1_static_mfast_dispatch");
  CHECK(to_string(default_config(down, 128, device)) == "sm90_64x64x64_weights_coop_w8_s6_c2_x1_static_mfast_dispatch");
  CHECK(default_config(problems.at(1), 1024, device).BLOCK_N == 128);  // of 16 experts there are enough
  for (int tokens = 1; tokens <= 32768; tokens *= 2) {
    for (const Problem& problem : problems) CHECK(in_config_space(problem, default_config(problem, tokens, device), device));
  }
}

TEST_CASE("With fusions of sm90 the default is in the space, and other devices say what they lack") {
  for (int tokens = 1; tokens <= 32768; tokens *= 2) {
    Problem problem = test::qwen3_gate_up();
    problem.fuse_swiglu = true;
    for (const bool more : {false, true}) {
      problem.fuse_mul_pre = problem.keep_pre_activation = more;
      CHECK(in_config_space(problem, default_config(problem, tokens, find_device("h200")), find_device("h200")));
      CHECK_THROWS_WITH(default_config(problem, tokens, find_device("a100")),
                        Contains("the epilogue of family sm80 has no fuse_"));
    }
  }
}

TEST_CASE("The default counts rows per active expert: one token of a large top_k has one row per expert") {
  Problem problem = test::qwen3_gate_up();
  problem.top_k = 64;
  CHECK(default_config(problem, 1, find_device("h200")).BLOCK_M == 16);
}

TEST_CASE("On a device with less shared memory the default gives up blocks and stages, not the tile") {
  const Problem problem = test::qwen3_gate_up();
  DeviceDescription roomy = find_device("h200");
  roomy.cc_major = 8;
  const KernelConfig large = default_config(problem, 4096, roomy);
  const KernelConfig small = default_config(problem, 4096, find_device("rtx4090"));
  CHECK(large.ctas_per_sm == 2);
  CHECK(small.ctas_per_sm == 1);
  CHECK(small.stages <= large.stages);
  CHECK(small.BLOCK_M == large.BLOCK_M);
  CHECK(small.BLOCK_N == large.BLOCK_N);
}

TEST_CASE("A device that no config fits is an error that says why") {
  DeviceDescription device = find_device("a100");
  device.cc_major = 7;
  CHECK_THROWS_AS(default_config(test::qwen3_gate_up(), 64, device), UsageError);
  CHECK_THROWS_WITH(default_config(test::qwen3_gate_up(), 64, device),
                    Contains("forward gate_up") && Contains("A100") && Contains("family sm80 needs 8.0"));
}
