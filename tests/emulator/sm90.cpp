// Kernels of the sm90 family: every role, schedule and operand order, on every op and fusion and ragged rows of every kind.
#include <algorithm>
#include <vector>

#include "tests/emulator/check_kernel.hpp"
#include "tests/support/ragged_cases.hpp"
#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Tails in every dimension; an even number of tiles of 128 columns, for clusters.
const Problem plain = {.E = 5, .N = 240, .K = 200, .top_k = 2};

/// Every third config, from `first` on: all take minutes on all problems, and meet each op with another `first`. On a GPU all are
/// tried on all (tests/gpu/forward/sm90.cpp).
std::vector<KernelConfig> every_third(const Problem& problem, int first) {
  const std::vector<KernelConfig> all = sm90_configs(problem);
  std::vector<KernelConfig> configs;
  for (std::size_t i = static_cast<std::size_t>(first); i < all.size(); i += 3) configs.push_back(all[i]);
  REQUIRE(configs.size() >= 2);
  return configs;
}

void check_problem(const Problem& problem, int first) {
  for (const KernelConfig& config : every_third(problem, first)) {
    const emulator::GemmKernel kernel(problem, config);
    // One schedule a call: every kind comes up twice.
    std::uint64_t seed = 0;
    for (CaseSpec spec : ragged_cases(problem, config.BLOCK_M)) {
      spec.w_row_padding = seed % 4 == 3 ? 16 : 0;  // tensor maps carry strides
      check_kernel(spec, kernel, 1, seed++);
    }
  }
}

Problem gathering() {
  Problem problem = plain;
  problem.permute_x = true;
  return problem;
}

}  // namespace

TEST_CASE("emulator: sm90 without permutation, bf16") { check_problem(plain, 0); }

TEST_CASE("emulator: sm90 with permute_x, fp16") {
  Problem problem = gathering();
  problem.dtype = DType::fp16;
  check_problem(problem, 1);
}

TEST_CASE("emulator: sm90 with permute_x and fuse_mul_pre") {
  Problem problem = gathering();
  problem.fuse_mul_pre = true;
  check_problem(problem, 2);
}

TEST_CASE("emulator: sm90 with permute_y and fuse_mul_post") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.permute_y = problem.fuse_mul_post = true;
  check_problem(problem, 0);
}

TEST_CASE("emulator: sm90 with permute_y, fp16") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.dtype = DType::fp16;
  problem.permute_y = true;
  check_problem(problem, 1);
}

TEST_CASE("emulator: sm90 with fuse_swiglu") {
  Problem problem = gathering();
  problem.fuse_swiglu = true;
  check_problem(problem, 2);
}

TEST_CASE("emulator: sm90 with fuse_swiglu that keeps the pre-activation, and fuse_mul_pre") {
  Problem problem = gathering();
  problem.N = 384;
  problem.fuse_mul_pre = problem.fuse_swiglu = problem.keep_pre_activation = true;
  check_problem(problem, 0);
}

TEST_CASE("emulator: sm90 with fuse_swiglu and no permutation, fp16") {
  Problem problem = plain;
  problem.dtype = DType::fp16;
  problem.N = 512;
  problem.fuse_swiglu = problem.keep_pre_activation = true;
  check_problem(problem, 1);
}

TEST_CASE("emulator: sm90, dX in expert order") {
  Problem problem = plain;
  problem.op = Op::dX;
  check_problem(problem, 0);
}

TEST_CASE("emulator: sm90, dX whose rows are scattered to slots, fp16") {
  Problem problem = gathering();
  problem.op = Op::dX;
  problem.dtype = DType::fp16;
  check_problem(problem, 1);
}

TEST_CASE("emulator: sm90, dX of rows that are gathered by slot") {
  Problem problem = plain;
  problem.op = Op::dX;
  problem.gemm = Gemm::down;
  problem.permute_y = true;
  check_problem(problem, 2);
}

TEST_CASE("emulator: sm90 with fuse_swiglu and fuse_mul_pre, fp16, every routing weight") {
  // Weights scale gate and up, so that outputs shrink with their square: fp16 still has to hold them.
  Problem problem = gathering();
  problem.dtype = DType::fp16;
  problem.fuse_mul_pre = problem.fuse_swiglu = true;
  const std::vector<KernelConfig> configs = sm90_configs(problem);
  REQUIRE_FALSE(configs.empty());
  CaseSpec spec = routed_case(problem, 505, {});
  spec.topk_weights_f32 = false;
  check_kernel(spec, emulator::GemmKernel(problem, configs.back()), 1);
}

TEST_CASE("emulator: sm90, the smallest sizes") {
  for (const Problem& problem : {Problem{.E = 1, .N = 8, .K = 8, .top_k = 1}, Problem{.E = 1, .N = 8, .K = 256, .top_k = 1},
                                 Problem{.E = 65, .N = 72, .K = 8, .top_k = 3, .permute_x = true}}) {
    const std::vector<KernelConfig> configs = sm90_configs(problem);
    REQUIRE_FALSE(configs.empty());
    for (const KernelConfig& config : configs) {
      check_kernel(routed_case(problem, 9, {}), emulator::GemmKernel(problem, config), 2);
    }
  }
}

TEST_CASE("emulator: sm90, more k-blocks than stages, of which there are two and more") {
  const Problem problem = {.E = 2, .N = 256, .K = 520, .top_k = 2, .permute_x = true};
  for (const char* name : {"sm90_64x128x64_weights_coop_w8_s2_c1_x2_queue_mfast_inkernel",
                           "sm90_64x128x64_weights_coop_w8_s3_c1_x2_queue_mfast_inkernel",
                           "sm90_64x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_inkernel",
                           "sm90_64x128x64_weights_coop_w8_s2_c1_x1_queue_mfast_inkernel",
                           "sm90_64x128x64_weights_pingpong_w12_s2_c1_x2_static_mfast_dispatch"}) {
    INFO(name);
    const KernelConfig config = parse_config(name);
    REQUIRE_FALSE(reject(problem, config));
    check_kernel(routed_case(problem, 60, {}), emulator::GemmKernel(problem, config), 2);
  }
}

TEST_CASE("emulator: sm90 reports bad slots and sizes and skips them") {
  for (const int kind : {0, 1, 2}) {
    Problem problem = plain;
    problem.permute_x = problem.fuse_mul_pre = kind < 2;
    problem.fuse_swiglu = kind == 1;
    problem.permute_y = problem.fuse_mul_post = kind == 2;
    for (const KernelConfig& config : every_third(problem, kind)) {
      const emulator::GemmKernel kernel(problem, config);
      for (const CaseSpec& spec : bad_cases(problem)) check_kernel(spec, kernel, 1);
    }
  }
}

TEST_CASE("emulator: sm90, NaN stays with its row") {
  const Problem problem = plain;
  for (const KernelConfig& config : sm90_configs(problem)) {
    INFO(to_string(config));
    const emulator::GemmKernel kernel(problem, config);
    emulator::GemmCase forward(routed_case(problem, 23, {}));
    forward.run(kernel, 0);
    const std::vector<std::uint16_t> before = forward.y();
    forward.set_x_row(11, 0x7fc0);
    forward.run(kernel, 0);
    const std::vector<std::uint16_t> after = forward.y();
    for (int row = 0; row < forward.spec().M(); ++row) {
      const bool same =
          std::equal(before.begin() + row * problem.N, before.begin() + (row + 1) * problem.N, after.begin() + row * problem.N);
      CHECK(same == (row != 11));
    }
    CHECK((after[11 * static_cast<std::size_t>(problem.N)] & 0x7fff) > 0x7f80);
  }
}
