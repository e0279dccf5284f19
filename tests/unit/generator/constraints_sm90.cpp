// The constraints of the sm90 family. What templates/kernels/rows_sm90.cuh asserts is said here once more, in other words.
#include <catch2/catch.hpp>

#include <set>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

Problem up() { return test::qwen3_gate_up(); }

Problem swiglu() {
  Problem problem = up();
  problem.fuse_swiglu = true;
  return problem;
}

struct Rejection {
  const char* reason;
  const char* config;
  Problem problem = up();
};

Problem with_N(int N) {
  Problem problem = up();
  problem.N = N;
  return problem;
}

Problem with_K(int K) {
  Problem problem = up();
  problem.K = K;
  return problem;
}

const Rejection rejections[] = {
    {"ping_pong needs two consumer warpgroups: warps = 12, not 8",
     "sm90_64x128x64_weights_pingpong_w8_s4_c1_x1_queue_mfast_dispatch"},
    {"without permute_x there is nothing to gather", "sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_inkernel",
     test::qwen3_down()},
    {"a cluster needs ctas_per_sm = 1, not 2", "sm90_16x64x64_weights_coop_w8_s4_c2_x2_queue_mfast_dispatch"},
    {"264 columns are 3 tiles of 128: a cluster of 2 needs a multiple of it",
     "sm90_64x128x64_weights_coop_w8_s4_c1_x2_queue_mfast_dispatch", with_N(264)},
    {"BLOCK_N = 64 on the MMA's M side is no multiple of 2 x 64", "sm90_64x64x64_weights_coop_w12_s4_c1_x1_queue_mfast_dispatch"},
    {"BLOCK_N = 192 on the MMA's M side is no multiple of 2 x 64",
     "sm90_64x192x64_weights_coop_w12_s4_c1_x1_queue_mfast_dispatch"},
    {"BLOCK_M = 32 on the MMA's M side is no multiple of 1 x 64", "sm90_32x128x64_tokens_coop_w8_s4_c1_x1_queue_mfast_dispatch"},
    {"BLOCK_M = 192 on the MMA's M side is no multiple of 2 x 64",
     "sm90_192x128x64_tokens_coop_w12_s4_c1_x1_queue_mfast_dispatch"},
    {"64 columns are no multiple of 128", "sm90_64x64x64_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch", swiglu()},
    {"64 columns are no multiple of 128", "sm90_64x128x64_weights_coop_w12_s4_c1_x1_queue_mfast_dispatch", swiglu()},
    {"192 columns are no multiple of 128", "sm90_64x192x64_tokens_coop_w8_s4_c1_x1_queue_mfast_dispatch", swiglu()},
    {"256 accumulators per thread (limit 192): a tile of 128x256 is too large for 1 consumer warpgroup",
     "sm90_128x256x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch"},
    {"256 accumulators per thread (limit 192): a tile of 256x256 is too large for 2 consumer warpgroups",
     "sm90_256x256x64_tokens_coop_w12_s2_c1_x1_queue_mfast_dispatch"},
    {"a reduction of 64 fits one k-block of 64", "sm90_64x128x128_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch", with_K(64)},
    {"20480 bytes in flight per SM cannot hide", "sm90_16x64x64_weights_coop_w8_s3_c1_x1_queue_mfast_dispatch"},
};

/// As many bytes as the parts of the kernel's shared memory take, added up one by one.
int shared_by_parts(const Problem& p, const KernelConfig& c) {
  const bool cooperative = c.schedule == Schedule::cooperative;
  const int consumers = c.warps == 12 ? 2 : 1;
  const int sharing = cooperative ? consumers : 1;
  const bool swapped = c.mma_m == MmaM::weights;
  const int store_rows = swapped ? c.BLOCK_M : c.BLOCK_M / sharing;
  int bytes = 0;
  for (int stage = 0; stage < c.stages; ++stage) {
    bytes += c.BLOCK_M * c.BLOCK_K * 2 + c.BLOCK_N * c.BLOCK_K * 2;  // both operands
    bytes += 8 + 8;                                                  // full and empty
  }
  for (int buffer = 0; buffer < sharing; ++buffer) bytes += store_rows * 64 * 2;
  for (int table = 0; table < 2; ++table) {
    if (p.permute_y || p.fuse_mul_pre) bytes += c.BLOCK_M * 4;      // slots
    if (p.fuse_mul_post || p.fuse_mul_pre) bytes += c.BLOCK_M * 4;  // scales
    bytes += 8 + 8;                                                 // full and empty
  }
  bytes += 2 * (8 + 8);  // turns of two consumers, of two kinds
  if (c.gather == Gather::in_kernel) bytes += c.BLOCK_M * 4;
  if (c.gather == Gather::copy_ahead) {
    int slots = 2;
    while (slots < 8 && (slots + 1) * p.K * 2 <= 32 * 1024) ++slots;
    for (int slot = 0; slot < slots; ++slot) bytes += p.K * 2 + 8;
    bytes += 8 * 8;  // rows of the next tiles
  }
  bytes += ((p.E + 1) * 4 * 2 + 15) / 16 * 16;
  return bytes + 4 * 16 + 4 * (8 + 8);  // tile slots and their barriers
}

}  // namespace

TEST_CASE("sm90: every constraint of a config alone rejects, with its reason") {
  for (const auto& [reason, name, problem] : rejections) {
    INFO(name << ": " << reason);
    const auto said = reject(problem, parse_config(name));
    REQUIRE(said);
    CHECK_THAT(*said, Contains(reason));
    CHECK(reject(problem, parse_config(name), find_device("h200")) == said);
  }
}

TEST_CASE("sm90: the smallest change that cures a rejected config makes it pass") {
  const DeviceDescription& device = find_device("h200");
  const auto accepts = [&](const Problem& problem, const char* name) { return !reject(problem, parse_config(name), device); };
  CHECK(accepts(up(), "sm90_64x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(test::qwen3_down(), "sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(up(), "sm90_64x128x64_weights_coop_w8_s4_c1_x2_queue_mfast_dispatch"));
  CHECK(accepts(with_N(392), "sm90_64x128x64_weights_coop_w8_s4_c1_x2_queue_mfast_dispatch"));
  CHECK(accepts(up(), "sm90_64x64x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(up(), "sm90_192x128x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(swiglu(), "sm90_64x256x64_weights_coop_w12_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(swiglu(), "sm90_64x128x64_tokens_coop_w8_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(up(), "sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(with_K(72), "sm90_64x128x128_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch"));
  CHECK(accepts(up(), "sm90_16x64x64_weights_coop_w8_s3_c2_x1_queue_mfast_dispatch"));
  CHECK(accepts(test::smallest_problem(), "sm90_16x64x64_weights_coop_w8_s3_c2_x1_queue_mfast_dispatch"));
}

TEST_CASE("sm90: threads, registers and shared memory of a block, by hand") {
  const KernelConfig large = parse_config("sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch");
  CHECK(threads_per_block(large) == 384);
  CHECK(register_estimate(up(), large) == 192 + 40);
  // 4 stages, staging of 192 x 64, prefix sums of 129, slots with barriers, ring barriers, turns, barriers of the row tables
  CHECK(shared_memory_bytes(up(), large) == 163840 + 24576 + 1040 + 128 + 64 + 32 + 32);
  CHECK(shared_memory_bytes(swiglu(), large) == shared_memory_bytes(up(), large));
  // and slots, perhaps scales, of 192 rows for two tiles
  CHECK(shared_memory_bytes(test::qwen3_down(), large) == shared_memory_bytes(up(), large) + 2 * 192 * 4);
  Problem scaled = test::qwen3_down();
  scaled.fuse_mul_post = true;
  CHECK(shared_memory_bytes(scaled, large) == shared_memory_bytes(up(), large) + 2 * 192 * 8);
  const KernelConfig small = parse_config("sm90_16x64x64_weights_coop_w8_s8_c2_x1_static_mfast_inkernel");
  CHECK(threads_per_block(small) == 256);
  CHECK(register_estimate(up(), small) == 8 + 40);
  CHECK(shared_memory_bytes(up(), small) == 81920 + 2048 + 64 + 1040 + 128 + 128 + 32 + 32);
}

TEST_CASE("sm90: every accepted config is one that the kernel can be, whatever is fused") {
  const DeviceDescription& device = find_device("h200");
  Problem all = swiglu();
  all.fuse_mul_pre = all.keep_pre_activation = true;
  Problem scatter = test::qwen3_down();
  scatter.fuse_mul_post = true;
  for (const Problem& problem : {up(), swiglu(), all, scatter, test::smallest_problem(), with_N(264)}) {
    std::size_t accepted = 0;
    for (const KernelConfig& c : config_space(problem, device)) {
      if (c.family != Family::sm90) continue;
      ++accepted;
      const bool swapped = c.mma_m == MmaM::weights;
      const int consumers = c.warps / 4 - 1;
      const int sharing = c.schedule == Schedule::cooperative ? consumers : 1;
      const int m_side = swapped ? c.BLOCK_N : c.BLOCK_M;
      const int accumulators = c.BLOCK_M * c.BLOCK_N / (128 * sharing);
      const int shared = shared_by_parts(problem, c);
      const bool good =
          (c.warps == 8 || c.warps == 12) && (c.schedule == Schedule::cooperative || consumers == 2) &&
          m_side % (64 * sharing) == 0 && (swapped ? c.BLOCK_M : c.BLOCK_N) % 16 == 0 && accumulators <= 192 &&
          (!problem.fuse_swiglu || c.BLOCK_N / 2 % 64 == 0) &&
          (!problem.fuse_swiglu || !swapped || c.BLOCK_N / sharing % 128 == 0) &&
          (c.cluster == 1 || (c.ctas_per_sm == 1 && (problem.N + c.BLOCK_N - 1) / c.BLOCK_N % 2 == 0)) &&
          (c.gather == Gather::dispatch || problem.permute_x) && shared == shared_memory_bytes(problem, c) &&
          shared <= device.shared_per_block && c.ctas_per_sm * (shared + 1024) <= device.shared_per_sm &&
          accumulators + 40 <=
              (consumers == 2 && c.ctas_per_sm == 1 ? 232 : std::min(255, 65536 / (32 * c.warps * c.ctas_per_sm) / 8 * 8));
      if (!good) FAIL(describe(problem) << ": " << to_string(c));
    }
    INFO(describe(problem));
    CHECK(accepted > 100);
  }
}

TEST_CASE("sm90: every value of every field is in the space of a problem with permute_x") {
  const auto space = config_space(up(), find_device("h200"));
  for (const ConfigField& field : config_fields()) {
    std::set<int> seen;
    for (const KernelConfig& c : space) {
      if (c.family == Family::sm90) seen.insert(field.get(c));
    }
    const auto allowed = field.allowed(Family::sm90);
    INFO(field.name);
    CHECK(seen == std::set<int>(allowed.begin(), allowed.end()));
  }
}

TEST_CASE("sm90: a k-block has something in each of its halves") {
  const KernelConfig config = parse_config("sm90_16x64x128_weights_coop_w8_s3_c2_x1_queue_mfast_inkernel");
  Problem problem = test::qwen3_gate_up();
  for (const auto& [K, accepted] : {std::pair{128, true}, {136, false}, {192, false}, {200, true}, {2880, false}, {2944, true}}) {
    problem.K = K;
    CHECK(!reject(problem, config).has_value() == accepted);
  }
}

TEST_CASE("sm90: two blocks of two consumer warpgroups have few registers") {
  const DeviceDescription& device = find_device("h200");
  CHECK_FALSE(reject(up(), parse_config("sm90_32x128x64_weights_pingpong_w12_s4_c2_x1_queue_mfast_dispatch"), device));
  const KernelConfig c = parse_config("sm90_64x128x64_weights_pingpong_w12_s3_c2_x1_queue_mfast_dispatch");
  CHECK_THAT(reject(up(), c, device).value_or(""), Contains("needs at least 104 registers") && Contains("leave 80"));
}

TEST_CASE("sm90: runs on compute capability 9.0 alone") {
  const KernelConfig c = parse_config("sm90_64x128x64_weights_coop_w8_s4_c1_x1_queue_mfast_dispatch");
  CHECK_THAT(reject(up(), c, find_device("a100")).value_or(""),
             Contains("has compute capability 8.0; family sm90 needs exactly 9.0"));
  DeviceDescription device = find_device("h200");
  CHECK(runs_on(Family::sm90, device));
  CHECK_FALSE(reject(up(), c, device));
  device.cc_major = 10;
  CHECK_FALSE(runs_on(Family::sm90, device));
  CHECK(reject(up(), c, device));
}
