#include "generator/model.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "generator/config_space.hpp"
#include "generator/routing.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;

namespace {

Problem small_problem() {
  Problem problem;
  problem.E = 3;
  problem.N = 16;
  problem.K = 32;
  problem.top_k = 2;
  return problem;
}

std::vector<int> routed(const Problem& problem, int tokens) { return route({}, tokens, problem.E, problem.top_k).m_sizes; }

/// A sample of a space that reaches all of it.
std::vector<KernelConfig> some_configs(const Problem& problem, const DeviceDescription& device) {
  std::vector<KernelConfig> some;
  const auto all = config_space(problem, device);
  for (std::size_t i = 0; i < all.size(); i += 7) some.push_back(all[i]);
  return some;
}

}  // namespace

TEST_CASE("Floating-point operations, by hand") {
  CHECK(flops(small_problem(), std::vector{5, 0, 1}) == 2.0 * 6 * 16 * 32);
  CHECK(flops(small_problem(), std::vector{0, 0, 0}) == 0);
  // 2^31 rows of the largest GEMM: no product wraps.
  Problem large = small_problem();
  large.N = large.K = 1 << 20;
  CHECK(flops(large, std::vector{1 << 30, 1 << 30}) == std::ldexp(1.0, 1 + 31 + 40));
}

TEST_CASE("The fewest bytes, by hand") {
  const std::vector sizes{5, 0, 1};
  Problem problem = small_problem();
  // Two experts' weights, six rows of x and of y, two bytes each.
  CHECK(minimum_bytes(problem, sizes) == 2 * (2 * 16 * 32 + 6 * 32 + 6 * 16));
  problem.permute_y = true;
  CHECK(minimum_bytes(problem, sizes) == 2 * (2 * 16 * 32 + 6 * 32 + 6 * 16) + 6 * 4);
  problem.permute_y = false;
  problem.permute_x = true;  // three tokens of two choices
  CHECK(minimum_bytes(problem, sizes) == 2 * (2 * 16 * 32 + 3 * 32 + 6 * 16) + 6 * 4);
  problem.fuse_mul_pre = true;  // a weight for every row
  CHECK(minimum_bytes(problem, sizes) == 2 * (2 * 16 * 32 + 3 * 32 + 6 * 16) + 6 * 4 + 6 * 2);
  problem.fuse_swiglu = true;  // half of the columns
  CHECK(minimum_bytes(problem, sizes) == 2 * (2 * 16 * 32 + 3 * 32 + 6 * 8) + 6 * 4 + 6 * 2);
  problem.keep_pre_activation = true;  // and all of them
  CHECK(minimum_bytes(problem, sizes) == 2 * (2 * 16 * 32 + 3 * 32 + 6 * 8 + 6 * 16) + 6 * 4 + 6 * 2);
  CHECK(minimum_bytes(problem, std::vector{0, 0, 0}) == 0);
}

TEST_CASE("The fewest bytes of dW, by hand") {
  const std::vector sizes{5, 0, 1};
  Problem problem = small_problem();
  problem.op = Op::dW;
  CHECK(minimum_bytes(problem, sizes) == 2 * (3 * 16 * 32 + 6 * 32 + 6 * 16));
  problem.float32_dw = true;
  CHECK(minimum_bytes(problem, sizes) == 4 * 3 * 16 * 32 + 2 * (6 * 32 + 6 * 16));
  problem.accumulate = true;  // two experts' matrices are read and written, the third's is left alone
  CHECK(minimum_bytes(problem, sizes) == 2 * 4 * 2 * 16 * 32 + 2 * (6 * 32 + 6 * 16));
  CHECK(minimum_bytes(problem, std::vector{0, 0, 0}) == 0);
}

TEST_CASE("The roofline is the larger of compute and memory time, by hand") {
  DeviceDescription device;
  device.mma_sync_tflops = 1;  // 1e6 flop per microsecond
  device.dram_gb_per_s = 1;    // 1e3 bytes per microsecond
  const std::vector sizes{5, 0, 1};
  CHECK(roofline_us(small_problem(), sizes, device) == Approx(2624 / 1e3));
  device.dram_gb_per_s = 1000;
  CHECK(roofline_us(small_problem(), sizes, device) == Approx(6144 / 1e6));
  device.wgmma_tflops = 2;
  CHECK(roofline_us(small_problem(), sizes, device) == Approx(6144 / 1e6));
  device.cc_major = 9;
  device.dram_gb_per_s = 1e6;
  CHECK(roofline_us(small_problem(), sizes, device) == Approx(6144 / 2e6));
}

TEST_CASE("No prediction is below the roofline, each is finite and says what bounds it") {
  for (const DeviceDescription& device : {find_device("h200"), find_device("rtx4090")}) {
    for (const Problem& problem : test::sample_problems()) {
      const auto configs = some_configs(problem, device);
      for (const int tokens : {1, 16, 500, 8192}) {
        const auto sizes = routed(problem, tokens);
        const double roofline = roofline_us(problem, sizes, device);
        int broken = 0;
        for (const KernelConfig& config : configs) {
          const Prediction p = predict(problem, config, sizes, device);
          broken += !(p.total >= roofline && std::isfinite(p.total) && p.fixed > 0 && p.waves > 0);
          broken += p.bound() != (p.compute > p.memory ? "compute" : "memory");
          broken += !(p.total >= p.fixed + std::max(p.compute, p.memory));
        }
        INFO(describe(problem) << ", " << tokens << " tokens on " << device.key);
        CHECK(broken == 0);
      }
    }
  }
}

TEST_CASE("Tiles and waves, by hand") {
  Problem problem = test::qwen3_gate_up();
  problem.E = 3;
  KernelConfig config;  // 128 x 128
  config.ctas_per_sm = 2;
  // ceil(129 / 128) + 0 + ceil(128 / 128) row tiles, 1536 / 128 column tiles; 264 resident blocks.
  const Prediction p = predict(problem, config, std::vector{129, 0, 128}, find_device("h200"));
  CHECK(p.tiles == 36);
  CHECK(p.waves == Approx(36.0 / 264));
}

TEST_CASE("More rows are never predicted faster when every expert has the same whole tiles") {
  const DeviceDescription& device = find_device("h200");
  const Problem problem = test::qwen3_gate_up();
  for (const KernelConfig& config : some_configs(problem, device)) {
    double last = 0;
    for (int tiles = 0; tiles <= 64; tiles = tiles == 0 ? 1 : 2 * tiles) {
      const std::vector<int> sizes(static_cast<std::size_t>(problem.E), tiles * config.BLOCK_M);
      const double total = predict(problem, config, sizes, device).total;
      if (!(total > last)) FAIL(to_string(config) << ", " << tiles << " tiles per expert: " << total << " us after " << last);
      last = total;
    }
  }
}

TEST_CASE("More tokens are never predicted faster") {
  const DeviceDescription& device = find_device("h200");
  const Problem problem = test::qwen3_gate_up();
  const auto configs = some_configs(problem, device);
  std::vector<double> most(configs.size(), 0.0);
  for (int tokens = 1; tokens <= 8192; tokens *= 2) {
    const auto sizes = routed(problem, tokens);
    for (std::size_t i = 0; i < configs.size(); ++i) {
      const double total = predict(problem, configs[i], sizes, device).total;
      // A last wave that fills up may win back a little.
      if (!(total > 0.97 * most[i]))
        FAIL(to_string(configs[i]) << ", " << tokens << " tokens: " << total << " us after " << most[i]);
      most[i] = std::max(most[i], total);
    }
  }
}

TEST_CASE("The same whole tiles on one expert compute as long as spread over all") {
  const DeviceDescription& device = find_device("h200");
  const Problem problem = test::qwen3_gate_up();
  std::vector<int> spread(128, 1024);
  std::vector<int> single(128, 0);
  single[77] = 128 * 1024;
  const Prediction even = predict(problem, {}, spread, device);
  const Prediction skewed = predict(problem, {}, single, device);
  CHECK(even.tiles == skewed.tiles);
  CHECK(skewed.memory <= even.memory);
  CHECK(skewed.compute == Approx(even.compute));
}

TEST_CASE("No rows cost a launch") {
  const Problem problem = test::qwen3_gate_up();
  const std::vector<int> none(128, 0);
  const Prediction p = predict(problem, {}, none, find_device("h200"));
  CHECK(p.tiles == 0);
  CHECK(p.total == p.fixed);
  CHECK(p.total > 0);
  CHECK(p.total < 10);
  CHECK(roofline_us(problem, none, find_device("h200")) == 0);
}

TEST_CASE("sm90: what is known of an H200 shows in the predictions") {
  const DeviceDescription& device = find_device("h200");
  const Problem up = test::qwen3_gate_up();
  const auto us = [&](const Problem& problem, const char* config, int tokens) {
    return predict(problem, parse_config(config), routed(problem, tokens), device).total;
  };
  const char* base = "sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch";
  const double best = us(up, base, 8192);
  CHECK(best < us(up, "sm90_128x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch", 8192));
  CHECK(best < us(up, "sm90_192x128x64_weights_coop_w12_s4_c1_x1_queue_mfast_dispatch", 8192));
  CHECK(best < us(up, "sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_static_mfast_dispatch", 8192));
  CHECK(best < us(up, "sm80_128x256x128_w8m2_s2_c1_nfast", 8192));
  // The rows are copied once or gathered for every column tile.
  CHECK(best < us(up, "sm90_160x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_inkernel", 8192));
  CHECK(us(up, "sm90_16x64x64_weights_coop_w8_s8_c2_x1_static_mfast_inkernel", 16) <
        us(up, "sm90_16x64x64_weights_coop_w8_s8_c2_x1_static_mfast_dispatch", 16));
  // A cluster pays with a long reduction, not with a short one.
  Problem down = test::qwen3_down();
  const char* cluster = "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_dispatch";
  const auto gain = [&](int K) {
    down.K = K;
    return us(down, base, 8192) / us(down, cluster, 8192);
  };
  CHECK(gain(4096) > 1);
  CHECK(gain(4096) > gain(256));
  // Tiles of an expert are equal: one row more than a tile costs two half tiles, not two whole ones.
  const std::vector<int> whole(128, 192);
  const std::vector<int> more(128, 193);
  const double compute = predict(up, parse_config(base), whole, device).compute;
  CHECK(predict(up, parse_config(base), more, device).compute < 1.4 * compute);
}

TEST_CASE("sm90: the dispatch before a kernel is part of the fixed time, and only where there is one") {
  const DeviceDescription& device = find_device("h200");
  const char* dispatch = "sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch";
  const Problem up = test::qwen3_gate_up();
  const auto fixed = [&](const Problem& problem, const char* config, int tokens) {
    return predict(problem, parse_config(config), routed(problem, tokens), device).fixed;
  };
  // 8192 tokens of 4096 bytes are read once and written eight times.
  const double without = fixed(up, "sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_inkernel", 8192);
  CHECK(fixed(up, dispatch, 8192) - without == Approx(3 + 9 * 8192 * 4096 / 3.9e6));
  CHECK(fixed(test::qwen3_down(), dispatch, 8192) == without);
}

TEST_CASE("sm90: tiles and waves, by hand") {
  Problem problem = test::qwen3_gate_up();
  problem.E = 3;
  const KernelConfig config = parse_config("sm90_64x256x64_tokens_coop_w8_s4_c1_x1_queue_mfast_dispatch");
  // ceil(129 / 64) + 0 + ceil(128 / 64) row tiles, 1536 / 256 column tiles
  const Prediction p = predict(problem, config, std::vector{129, 0, 128}, find_device("h200"));
  CHECK(p.tiles == 30);
  CHECK(p.waves == Approx(30.0 / 132));
}

TEST_CASE("Ranking keeps every config, the fastest predicted first, ties in their order") {
  const DeviceDescription& device = find_device("h200");
  const Problem problem = test::qwen3_gate_up();
  auto configs = some_configs(problem, device);
  const auto sizes = routed(problem, 256);
  const auto ranked = rank(problem, configs, sizes, device);
  REQUIRE(ranked.size() == configs.size());
  std::vector<KernelConfig> returned;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    returned.push_back(ranked[i].config);
    CHECK(ranked[i].prediction.total == predict(problem, ranked[i].config, sizes, device).total);
    if (i == 0) continue;
    const auto& [before, first] = ranked[i - 1];
    const auto& [after, second] = ranked[i];
    if (!(first.total < second.total || (first.total == second.total && before < after))) {
      FAIL(to_string(before) << " stands before " << to_string(after));
    }
  }
  std::sort(returned.begin(), returned.end());
  CHECK(returned == configs);
  CHECK(rank(problem, {}, sizes, device).empty());
}
