// Kernels of configs from all over the config space: every value of every field, and both sides of every tile boundary.
#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "generator/config_space.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/support/spread_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

void check_spread(const Problem& problem, int times) {
  std::vector<KernelSpec> kernels;
  for (const KernelConfig& config : spread(config_space(problem, Gpu::get().description()), times)) {
    kernels.push_back({problem, config});
  }
  REQUIRE(kernels.size() > 8);
  Gpu::get().compile_ahead(kernels);
  for (const KernelSpec& spec : kernels) {
    const GemmKernel kernel = Gpu::get().load(spec);
    CHECK(kernel.resident_blocks() >= spec.config.ctas_per_sm);
    // Experts with one row less than a tile, exactly a tile, one more, and several tiles; then none and a single one.
    const int tile = spec.config.BLOCK_M;
    CaseSpec boundaries = one_expert_case(problem, 800, 0);
    boundaries.m_sizes.assign(problem.E, 0);
    const std::int64_t sizes[] = {tile - 1, tile, tile + 1, 2 * tile + 5, 0, 1};
    std::copy(std::begin(sizes), std::end(sizes), boundaries.m_sizes.begin());
    check_kernel(boundaries, kernel);
    check_kernel(routed_case(problem, 37, {RoutingSpec::Kind::zipf, 1.2, 5}), kernel);
  }
}

}  // namespace

TEST_CASE("configs: without permutation, bf16") { check_spread({.E = 7, .N = 520, .K = 328, .top_k = 2}, 2); }

TEST_CASE("configs: dX with permute_x, bf16") {
  check_spread({.op = Op::dX, .E = 7, .N = 328, .K = 520, .top_k = 2, .permute_x = true}, 3);
}

TEST_CASE("configs: dX with permute_y, fp16") {
  check_spread(
      {.op = Op::dX, .gemm = Gemm::down, .dtype = DType::fp16, .E = 7, .N = 328, .K = 520, .top_k = 2, .permute_y = true}, 3);
}

TEST_CASE("configs: permute_x, fp16") {
  check_spread({.dtype = DType::fp16, .E = 7, .N = 520, .K = 328, .top_k = 2, .permute_x = true}, 3);
}

TEST_CASE("configs: permute_x, fuse_mul_pre and fuse_swiglu that keeps the pre-activation, bf16") {
  const Problem problem = {.E = 7,
                           .N = 528,
                           .K = 328,
                           .top_k = 2,
                           .permute_x = true,
                           .fuse_mul_pre = true,
                           .fuse_swiglu = true,
                           .keep_pre_activation = true};
  if (!Gpu::get().families(problem).empty()) check_spread(problem, 3);
}

TEST_CASE("configs: fuse_swiglu, fp16") {
  const Problem problem = {.dtype = DType::fp16, .E = 7, .N = 528, .K = 328, .top_k = 2, .fuse_swiglu = true};
  if (!Gpu::get().families(problem).empty()) check_spread(problem, 2);
}

TEST_CASE("configs: permute_y and fuse_mul_post, bf16") {
  check_spread({.gemm = Gemm::down, .E = 7, .N = 520, .K = 328, .top_k = 2, .permute_y = true, .fuse_mul_post = true}, 3);
}
