#include "generator/constraints.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <climits>

#include "generator/config_space.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

KernelConfig tile(int block_m, int block_n, int block_k, int warps, int warps_m, int stages, int ctas) {
  return {Family::sm80, block_m, block_n, block_k, warps, warps_m, stages, ctas, TileOrder::m_fastest};
}

struct Rejection {
  const char* reason;
  KernelConfig config;
  int K = 2048;
};

const Rejection rejections[] = {
    {"BLOCK_M = 100 is not one of 16, 32, 64", tile(100, 128, 64, 4, 2, 3, 1)},
    {"BLOCK_N = 0 is not one of 32, 64", tile(128, 0, 64, 4, 2, 3, 1)},
    {"stages = -3 is not one of", tile(128, 128, 64, 4, 2, -3, 1)},
    {"warps = 2147483647 is not one of", tile(128, 128, 64, INT_MAX, 2, 3, 1)},
    {"warps_m = 0 is not one of", tile(128, 128, 64, 4, 0, 3, 1)},
    {"warps_m = 4 does not divide warps = 2", tile(128, 128, 64, 2, 4, 3, 2)},
    {"2 warps along BLOCK_M = 16 leave each less than the 16 rows of an MMA", tile(16, 128, 64, 4, 2, 3, 1)},
    {"4 warps along BLOCK_N = 64 leave each less than a group of 32 columns", tile(128, 64, 64, 4, 1, 3, 1)},
    {"a reduction of 128 has 2 k-blocks of 64", tile(128, 128, 64, 4, 2, 3, 1), 128},
    {"a reduction of 8 has 1 k-blocks of 32", tile(128, 128, 32, 4, 2, 3, 1), 8},
    {"2 warps per SM leave 2 of its 4 tensor cores idle", tile(64, 64, 64, 2, 1, 4, 1)},
    {"20480 bytes in flight per SM cannot hide the latency of memory (at least 24576)", tile(16, 64, 64, 2, 1, 2, 2)},
    {"registers per thread (limit 255): a warp tile of 128x64 is too large", tile(256, 128, 64, 4, 2, 2, 1)},
};

}  // namespace

TEST_CASE("Every constraint of a config alone rejects, with its reason") {
  for (const auto& [reason, config, K] : rejections) {
    Problem problem = test::qwen3_gate_up();
    problem.K = K;
    INFO(reason);
    const auto said = reject(problem, config);
    REQUIRE(said);
    CHECK_THAT(*said, Contains(reason));
    // The device does not change the reason.
    CHECK(reject(problem, config, find_device("h200")) == said);
  }
}

TEST_CASE("The smallest change that cures a rejected config makes it pass") {
  Problem problem = test::qwen3_gate_up();
  CHECK_FALSE(reject(problem, tile(16, 128, 64, 4, 1, 3, 1)));
  CHECK_FALSE(reject(problem, tile(128, 64, 64, 4, 2, 3, 1)));
  CHECK_FALSE(reject(problem, tile(64, 64, 64, 2, 1, 4, 2)));
  CHECK_FALSE(reject(problem, tile(16, 64, 64, 2, 1, 3, 2)));
  CHECK_FALSE(reject(problem, tile(256, 128, 64, 8, 4, 2, 1)));
  problem.K = 136;  // three k-blocks, the last almost empty
  CHECK_FALSE(reject(problem, tile(128, 128, 64, 4, 2, 3, 1)));
}

TEST_CASE("Any K can be served with two stages, whatever is in flight") {
  CHECK_FALSE(reject(test::smallest_problem(), tile(16, 64, 32, 2, 1, 2, 2)));
}

TEST_CASE("What the epilogue lacks is refused by name") {
  for (bool Problem::*flag : {&Problem::fuse_mul_pre, &Problem::fuse_swiglu, &Problem::keep_pre_activation}) {
    Problem problem = test::qwen3_gate_up();
    problem.fuse_swiglu = flag == &Problem::keep_pre_activation;
    problem.*flag = true;
    const auto said = reject(problem, tile(128, 128, 64, 4, 2, 3, 1));
    REQUIRE(said);
    CHECK_THAT(*said, Contains("the epilogue of family sm80 has no") && Contains("family sm90"));
  }
}

TEST_CASE("dW reads both operands in slabs of 32 columns, and its reduction is as long as an expert has rows") {
  const auto dW = [](Problem problem) {
    problem.op = Op::dW;
    return problem;
  };
  const Problem problem = dW(test::qwen3_gate_up());
  CHECK_THAT(reject(problem, tile(16, 128, 64, 4, 1, 3, 1)).value_or("accepted"),
             Contains("BLOCK_M = 16 is no multiple of 32: dW reads dY in slabs of 32 columns"));
  CHECK_FALSE(reject(problem, tile(32, 128, 64, 4, 1, 3, 1)));
  CHECK_FALSE(reject(problem, tile(96, 128, 64, 4, 2, 3, 1)));
  CHECK_THAT(reject(problem, tile(32, 64, 32, 2, 1, 2, 2)).value_or("accepted"), Contains("12288 bytes in flight per SM"));
  CHECK_THAT(reject(problem, tile(128, 64, 64, 4, 1, 3, 1)).value_or("accepted"), Contains("a group of 32 columns"));
  // No K is too short for any number of stages, nor a reason to have few bytes in flight.
  const Problem smallest = dW(test::smallest_problem());
  CHECK_FALSE(reject(smallest, tile(64, 64, 64, 4, 2, 8, 1)));
  CHECK_THAT(reject(smallest, tile(32, 64, 32, 2, 1, 2, 2)).value_or("accepted"), Contains("12288 bytes in flight per SM"));
}

TEST_CASE("Threads and shared memory of a block") {
  // stages * (BLOCK_M + BLOCK_N) * BLOCK_K * 2 bytes, and two prefix sums of E + 1 ints.
  const Problem problem = test::qwen3_gate_up();
  CHECK(shared_memory_bytes(problem, tile(128, 128, 64, 4, 2, 3, 1)) == 98304 + 1032);
  CHECK(shared_memory_bytes(problem, tile(16, 64, 64, 2, 1, 5, 4)) == 51200 + 1032);
  CHECK(shared_memory_bytes(test::smallest_problem(), tile(256, 64, 32, 8, 4, 8, 1)) == 163840 + 16);
  Problem weights = problem;
  weights.op = Op::dW;
  CHECK(shared_memory_bytes(weights, tile(128, 128, 64, 4, 2, 3, 1)) == 98304 + 1032);
  CHECK(threads_per_block(tile(128, 128, 64, 4, 2, 3, 1)) == 128);
  CHECK(threads_per_block(tile(128, 128, 64, 16, 4, 3, 1)) == 512);
}

TEST_CASE("The register estimate") {
  // accumulators + double-buffered fragments + rows a thread copies + 24 for addresses
  const Problem problem = test::qwen3_gate_up();
  CHECK(register_estimate(problem, tile(128, 128, 64, 4, 2, 3, 1)) == 128 + 64 + 8 + 24);
  CHECK(register_estimate(problem, tile(16, 64, 64, 2, 1, 5, 4)) == 16 + 24 + 2 + 24);
  CHECK(register_estimate(problem, tile(16, 128, 32, 4, 1, 2, 1)) == 16 + 24 + 1 + 24);
  // dW: rows of two operands, of 64-bit addresses; a thread copies the same few of each k-block for all columns
  Problem weights = problem;
  weights.op = Op::dW;
  CHECK(register_estimate(weights, tile(128, 128, 64, 4, 2, 3, 1)) == 128 + 64 + 2 * 4 + 24);
  CHECK(register_estimate(weights, tile(128, 128, 32, 8, 2, 3, 1)) == 64 + 2 * (4 * 4 + 8) + 4 + 24);
}

TEST_CASE("Every limit of a device rejects, with its reason") {
  const Problem problem = test::qwen3_gate_up();
  CHECK_THAT(
      *reject(problem, tile(128, 128, 64, 4, 2, 4, 1), find_device("rtx4090")),
      Contains("needs 132104 bytes of shared memory per block (4 stages of 128x128x64); NVIDIA GeForce RTX 4090 has 101376"));
  CHECK_THAT(*reject(problem, tile(128, 128, 64, 4, 2, 4, 2), find_device("h200")),
             Contains("2 blocks per SM need 266256 bytes of shared memory; NVIDIA H200 has 233472 per SM"));
  CHECK_THAT(*reject(problem, tile(128, 128, 32, 4, 2, 2, 3), find_device("h200")),
             Contains("needs at least 220 registers per thread; 3 blocks of 128 threads per SM leave 168"));
  DeviceDescription device = find_device("h200");
  device.threads_per_sm = 1024;
  CHECK_THAT(*reject(problem, tile(128, 128, 32, 16, 4, 2, 4), device), Contains("2048 threads per SM; NVIDIA H200 holds 1024"));
  device.cc_major = 7;
  device.cc_minor = 5;
  CHECK_THAT(*reject(problem, tile(128, 128, 64, 4, 2, 3, 1), device),
             Contains("NVIDIA H200 has compute capability 7.5; family sm80 needs 8.0"));
}

TEST_CASE("A config that needs exactly what a device has is accepted, one byte, thread or register less is too little") {
  const Problem problem = test::qwen3_gate_up();
  const KernelConfig config = tile(128, 128, 64, 4, 2, 3, 2);
  DeviceDescription device = find_device("h200");
  device.shared_per_block = 99336;
  device.shared_per_sm = 2 * (99336 + 1024);
  device.threads_per_sm = 256;
  device.registers_per_sm = 256 * 224;
  REQUIRE_FALSE(reject(problem, config, device));
  for (int DeviceDescription::*limit : {&DeviceDescription::shared_per_block, &DeviceDescription::shared_per_sm,
                                        &DeviceDescription::threads_per_sm, &DeviceDescription::registers_per_sm}) {
    DeviceDescription smaller = device;
    --(smaller.*limit);
    CHECK(reject(problem, config, smaller));
  }
}

TEST_CASE("The space of every known device keeps to its limits and comes close to its shared memory") {
  const Problem problem = test::qwen3_gate_up();
  for (const DeviceDescription& device : known_devices()) {
    int most = 0;
    int broken = 0;
    for (const KernelConfig& c : config_space(problem, device)) {
      if (c.family != Family::sm80) continue;
      const int ring = c.stages * (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * 2;
      most = std::max(most, ring);
      broken += ring + 1032 > device.shared_per_block || c.ctas_per_sm * (ring + 1032 + 1024) > device.shared_per_sm ||
                c.ctas_per_sm * c.warps * 32 > device.threads_per_sm;
    }
    INFO(device.key);
    CHECK(broken == 0);
    CHECK(most > device.shared_per_block * 9 / 10);
  }
}
