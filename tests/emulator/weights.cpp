// The gradient of weights on the emulated device: ragged rows, every schedule, experts without rows and beside infinities.
#include <catch2/catch.hpp>
#include <utility>

#include "generator/config_space.hpp"
#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "runtime/emulator/weights_case.hpp"
#include "runtime/reference/comparison.hpp"
#include "tests/support/ragged_cases.hpp"
#include "tests/support/spread_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Tails in both dimensions.
const Problem plain = {.op = Op::dW, .E = 5, .N = 200, .K = 136, .top_k = 2};

void check_weights(const CaseSpec& spec, const emulator::GemmKernel& kernel, std::uint64_t seeds = 1,
                   std::uint64_t first_seed = 0) {
  INFO(spec.describe());
  INFO(to_string(kernel.config()));
  emulator::WeightsCase weights(spec);
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    INFO("seed " << seed);
    CHECK(weights.run(kernel, seed) == weights.expected_status());
    const Comparison comparison = weights.compare();
    CHECK(comparison.bad_rows == 0);
    for (int expert = 0; expert < spec.problem.E; ++expert) {
      INFO("expert " << expert);
      CHECK(comparison.expert_error[static_cast<std::size_t>(expert)] <= row_tolerance(spec.problem));
      if (spec.problem.accumulate && spec.m_sizes[static_cast<std::size_t>(expert)] == 0) CHECK(weights.kept(expert));
    }
  }
}

// Of sm80: a block's threads copy part of a slab at once, a slab, two slabs, the last of three slabs with half of them.
const std::vector<const char*> configs = {"sm90_128x128x64_tokens_pingpong_w12_s3_c1_x1_queue_mfast_dispatch",
                                          "sm90_64x64x64_tokens_pingpong_w12_s4_c1_x1_static_nfast_dispatch",
                                          "sm90_128x128x64_tokens_coop_w12_s3_c1_x1_queue_nfast_dispatch",
                                          "sm90_64x192x128_tokens_coop_w8_s2_c1_x1_queue_mfast_dispatch",
                                          "sm80_64x128x128_w4m1_s2_c1_nfast",
                                          "sm80_128x128x64_w8m2_s3_c1_mfast",
                                          "sm80_128x64x32_w8m4_s4_c2_nfast",
                                          "sm80_96x128x32_w8m2_s5_c1_mfast"};

void check_problem(const Problem& problem, const std::vector<const char*>& names = configs) {
  for (const char* name : names) {
    const emulator::GemmKernel kernel(problem, parse_config(name));
    std::uint64_t seed = 0;
    for (CaseSpec spec : ragged_cases(problem, 64)) {
      spec.w_row_padding = seed % 4 == 3 ? 16 : 0;
      check_weights(spec, kernel, 1, seed++);
    }
  }
}

}  // namespace

TEST_CASE("emulator: dW in expert order") { check_problem(plain); }

TEST_CASE("emulator: dW with gathered rows of X, fp16") {
  Problem problem = plain;
  problem.dtype = DType::fp16;
  problem.permute_x = true;
  check_problem(problem);
}

TEST_CASE("emulator: dW with gathered rows of dY") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.permute_y = true;
  check_problem(problem);
}

TEST_CASE("emulator: dW in float32") {
  Problem problem = plain;
  problem.float32_dw = true;
  check_problem(problem);
}

TEST_CASE("emulator: dW that accumulates") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Problem problem = plain;
    problem.dtype = dtype;
    problem.accumulate = true;
    problem.permute_x = dtype == DType::fp16;
    check_problem(problem);
  }
}

TEST_CASE("emulator: dW that accumulates in float32") {
  Problem problem = plain;
  problem.dtype = DType::fp16;
  problem.float32_dw = problem.accumulate = true;
  problem.permute_y = true;
  check_problem(problem);
}

TEST_CASE("emulator: dW of the smallest sizes") {
  for (const bool float32_dw : {false, true}) {
    for (const bool accumulate : {false, true}) {
      check_problem({.op = Op::dW, .E = 5, .N = 8, .K = 8, .top_k = 2, .float32_dw = float32_dw, .accumulate = accumulate},
                    {configs[4], configs[6]});
    }
  }
}

// Sums that are rounded before they are added leave a quarter of the elements elsewhere.
TEST_CASE("emulator: dW that accumulates rounds once") {
  Problem problem = plain;
  problem.accumulate = true;
  const CaseSpec spec = routed_case(problem, 90, {});
  for (const char* name : configs) {
    INFO(name);
    emulator::WeightsCase weights(spec);
    weights.run(emulator::GemmKernel(problem, parse_config(name)), 0);
    CHECK(weights.rounded_otherwise() < 0.01);
  }
}

TEST_CASE("emulator: configs of dW of sm80, all over the config space") {
  Problem problem = plain;
  problem.dtype = DType::fp16;
  problem.permute_x = true;
  std::uint64_t seed = 0;
  for (const KernelConfig& config : spread(config_space(problem, find_device("a100")), 1)) {
    const int block = config.BLOCK_K;
    CaseSpec boundaries = one_expert_case(problem, (3 * block + 1 + problem.top_k) / problem.top_k, 0);
    boundaries.m_sizes = {block - 1, block, block + 1, 0, 1};
    check_weights(boundaries, emulator::GemmKernel(problem, config), 1, seed++);
  }
}

TEST_CASE("emulator: dW skips rows with bad slots and cuts bad sizes") {
  for (bool Problem::*permutation : {&Problem::permute_x, &Problem::permute_y}) {
    Problem problem = plain;
    problem.*permutation = true;
    for (const char* name : {configs[0], configs[4], configs[6]}) {
      const emulator::GemmKernel kernel(problem, parse_config(name));
      for (const CaseSpec& spec : bad_cases(problem)) check_weights(spec, kernel);
    }
  }
}

TEST_CASE("emulator: dW of sm80 loads neither row of a bad slot") {
  Problem problem = plain;
  problem.permute_y = true;
  CaseSpec spec = routed_case(problem, 19, {});
  spec.gather_indices[7] = spec.M();
  emulator::WeightsCase weights(spec);
  weights.set_x_row(7, 0x7f80);
  CHECK(weights.run(emulator::GemmKernel(problem, parse_config(configs[5])), 0) == weights.expected_status());
  CHECK(weights.compare().bad_rows == 0);
}

TEST_CASE("emulator: dW, infinities and NaNs stay with their expert") {
  for (const auto& [float32_dw, accumulate] : {std::pair(false, false), std::pair(false, true), std::pair(true, true)}) {
    Problem problem = plain;
    problem.float32_dw = float32_dw;
    problem.accumulate = accumulate;
    const CaseSpec spec = routed_case(problem, 90, {});
    int first = 0;
    for (int expert = 0; expert < 2; ++expert) first += static_cast<int>(spec.m_sizes[static_cast<std::size_t>(expert)]);
    for (const char* name : {configs[0], configs[5]}) {
      const emulator::GemmKernel kernel(problem, parse_config(name));
      for (const std::uint16_t bits : {0x7f80, 0x7fc0}) {
        INFO(describe(problem) << ", " << name << " with " << bits);
        emulator::WeightsCase weights(spec);
        for (int i = 0; i < spec.m_sizes[2]; ++i) weights.set_x_row(first + i, bits);
        weights.run(kernel, 0);
        const std::vector<double> errors = weights.compare().expert_error;
        for (const std::size_t expert : {0u, 1u, 3u, 4u}) CHECK(errors[expert] <= row_tolerance(problem));
        CHECK(errors[2] > 1);
      }
    }
  }
}
