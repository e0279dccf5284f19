// Kernels of configs from all over the config space: every value of every field, and both sides of every tile boundary.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "generator/config_space.hpp"
#include "generator/device.hpp"
#include "tests/emulator/check_kernel.hpp"
#include "tests/support/spread_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// One schedule of each kind for sm80; for the larger tiles of sm90 one, another from config to config.
void check_spread(const Problem& problem, Family family) {
  std::vector<KernelConfig> space = config_space(problem, find_device("h200"));
  std::erase_if(space, [family](const KernelConfig& config) { return config.family != family; });
  const std::vector<KernelConfig> configs = spread(space, 1);
  REQUIRE(configs.size() > 8);
  std::uint64_t seed = 0;
  for (const KernelConfig& config : configs) {
    const emulator::GemmKernel kernel(problem, config);
    // Experts with one row less than a tile, exactly a tile, one more; then none and a single one.
    const int tile = config.BLOCK_M;
    CaseSpec boundaries = one_expert_case(problem, (3 * tile + 1 + problem.top_k) / problem.top_k, 0);
    boundaries.m_sizes = {tile - 1, tile, tile + 1, 0, 1};
    if (family == Family::sm80) {
      check_kernel(boundaries, kernel);
    } else {
      check_kernel(boundaries, kernel, 1, seed++);
    }
  }
}

}  // namespace

TEST_CASE("emulator: configs without permutation, bf16") { check_spread({.E = 5, .N = 264, .K = 136, .top_k = 2}, Family::sm80); }

TEST_CASE("emulator: configs with permute_x, fp16") {
  check_spread({.dtype = DType::fp16, .E = 5, .N = 264, .K = 136, .top_k = 2, .permute_x = true}, Family::sm80);
}

TEST_CASE("emulator: configs with permute_y and fuse_mul_post, bf16") {
  check_spread({.gemm = Gemm::down, .E = 5, .N = 264, .K = 136, .top_k = 2, .permute_y = true, .fuse_mul_post = true},
               Family::sm80);
}

TEST_CASE("emulator: configs of dX in expert order, bf16") {
  check_spread({.op = Op::dX, .E = 5, .N = 136, .K = 264, .top_k = 2}, Family::sm80);
}

TEST_CASE("emulator: configs of dX with permute_x, fp16") {
  check_spread({.op = Op::dX, .dtype = DType::fp16, .E = 5, .N = 136, .K = 264, .top_k = 2, .permute_x = true}, Family::sm80);
}

TEST_CASE("emulator: configs of dX with permute_y, bf16") {
  check_spread({.op = Op::dX, .gemm = Gemm::down, .E = 5, .N = 136, .K = 264, .top_k = 2, .permute_y = true}, Family::sm80);
}

TEST_CASE("emulator: sm90 configs of dX with permute_y, bf16") {
  check_spread({.op = Op::dX, .gemm = Gemm::down, .E = 5, .N = 136, .K = 240, .top_k = 2, .permute_y = true}, Family::sm90);
}

TEST_CASE("emulator: sm90 configs with permute_x and fuse_swiglu, bf16") {
  check_spread({.E = 5, .N = 240, .K = 136, .top_k = 2, .permute_x = true, .fuse_swiglu = true}, Family::sm90);
}

TEST_CASE("emulator: sm90 configs with permute_y and fuse_mul_post, fp16") {
  check_spread({.gemm = Gemm::down,
                .dtype = DType::fp16,
                .E = 5,
                .N = 240,
                .K = 136,
                .top_k = 2,
                .permute_y = true,
                .fuse_mul_post = true},
               Family::sm90);
}
