#include "generator/heuristics.hpp"

#include <catch2/catch.hpp>

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
  const DeviceDescription& device = find_device("h200");
  CHECK(default_config(problem, 1, device).BLOCK_M == 16);
  // 128 experts, 8 per token: 32 rows per expert.
  CHECK(default_config(problem, 512, device).BLOCK_M == 32);
  CHECK(default_config(problem, 32768, device).BLOCK_M == 128);
  int last = 0;
  for (int tokens = 1; tokens <= 32768; tokens *= 2) {
    const int rows = default_config(problem, tokens, device).BLOCK_M;
    CHECK(rows >= last);
    last = rows;
  }
}

TEST_CASE("The default counts rows per active expert: one token of a large top_k has one row per expert") {
  Problem problem = test::qwen3_gate_up();
  problem.top_k = 64;
  CHECK(default_config(problem, 1, find_device("h200")).BLOCK_M == 16);
}

TEST_CASE("On a device with less shared memory the default gives up blocks and stages, not the tile") {
  const Problem problem = test::qwen3_gate_up();
  const KernelConfigForward large = default_config(problem, 4096, find_device("h200"));
  const KernelConfigForward small = default_config(problem, 4096, find_device("rtx4090"));
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
