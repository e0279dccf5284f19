// dW: ragged rows of every kind, gathered rows, both dtypes, float32, accumulation, reruns, and an expert of infinities.
#include <catch2/catch.hpp>
#include <cstddef>
#include <utility>
#include <vector>

#include "generator/constraints.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/gpu/support/weights_case.hpp"
#include "tests/support/ragged_cases.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Tails in both dimensions.
constexpr Problem plain = {.op = Op::dW, .E = 7, .N = 488, .K = 712, .top_k = 2};

std::vector<KernelSpec> kernels_of(const Problem& problem) {
  std::vector<KernelSpec> kernels;
  for (const char* name :
       {"sm90_128x192x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
        "sm90_192x128x64_tokens_pingpong_w12_s4_c1_x1_queue_nfast_dispatch",
        "sm90_64x64x64_tokens_pingpong_w12_s4_c1_x1_static_nfast_dispatch",
        "sm90_128x256x64_tokens_coop_w12_s3_c1_x1_queue_mfast_dispatch",
        "sm90_64x192x128_tokens_coop_w8_s2_c1_x1_static_mfast_dispatch", "sm80_64x128x128_w4m1_s2_c1_nfast",
        "sm80_128x128x64_w8m2_s3_c1_mfast", "sm80_128x64x32_w8m4_s4_c2_nfast", "sm80_96x128x32_w8m2_s5_c1_mfast"}) {
    const KernelConfig config = parse_config(name);
    if (config.family == Family::sm90 && !has_sm90()) continue;
    if (!reject(problem, config, Gpu::get().description())) kernels.push_back({problem, config});
  }
  return kernels;
}

void check_problem(const Problem& problem) {
  const std::vector<KernelSpec> kernels = kernels_of(problem);
  REQUIRE(kernels.size() >= (has_sm90() ? 7 : 3));
  Gpu::get().compile_ahead(kernels);
  for (const KernelSpec& spec : kernels) {
    const GemmKernel kernel = Gpu::get().load(spec);
    CHECK(kernel.resident_blocks() >= spec.config.ctas_per_sm);
    std::vector<CaseSpec> cases = ragged_cases(problem, spec.config.BLOCK_K);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      cases[i].w_row_padding = i % 4 == 3 ? 16 : 0;
      cases[i].w_expert_padding = i % 4 == 2 ? 8 : 0;
      check_weights(cases[i], kernel);
    }
    check_weights(routed_case(problem, 3000, {RoutingSpec::Kind::zipf, 1.0, 5}), kernel);
  }
}

}  // namespace

TEST_CASE("dW: rows in expert order") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Problem problem = plain;
    problem.dtype = dtype;
    check_problem(problem);
  }
}

TEST_CASE("dW: permute_x") {
  Problem problem = plain;
  problem.permute_x = true;
  check_problem(problem);
}

TEST_CASE("dW: permute_y, fp16") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.dtype = DType::fp16;
  problem.permute_y = true;
  check_problem(problem);
}

TEST_CASE("dW: float32") {
  Problem problem = plain;
  problem.float32_dw = true;
  check_problem(problem);
}

TEST_CASE("dW: accumulated in its dtype") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Problem problem = plain;
    problem.dtype = dtype;
    problem.accumulate = true;
    check_problem(problem);
  }
}

TEST_CASE("dW: accumulated in float32, permute_y") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.permute_y = true;
  problem.float32_dw = problem.accumulate = true;
  check_problem(problem);
}

TEST_CASE("dW: 100 runs give the same bits") {
  for (const auto& [float32_dw, accumulate] : {std::pair(false, false), std::pair(false, true), std::pair(true, true)}) {
    Problem problem = plain;
    problem.float32_dw = float32_dw;
    problem.accumulate = accumulate;
    for (const KernelSpec& spec : kernels_of(problem)) {
      INFO(describe(problem) << ' ' << to_string(spec.config));
      const GemmKernel kernel = Gpu::get().load(spec);
      WeightsCase weights(routed_case(problem, 1000, {RoutingSpec::Kind::zipf, 1.0, 5}));
      weights.run(kernel);
      const std::vector<std::byte> first = weights.download();
      for (int i = 0; i < 100; ++i) {
        weights.run(kernel);
        REQUIRE(weights.download() == first);
      }
    }
  }
}

TEST_CASE("dW: infinities stay with their expert") {
  for (const KernelSpec& spec : kernels_of(plain)) {
    INFO(to_string(spec.config));
    const GemmKernel kernel = Gpu::get().load(spec);
    const CaseSpec routed = routed_case(plain, 300, {});
    WeightsCase weights(routed);
    int first = 0;
    for (int expert = 0; expert < 3; ++expert) first += static_cast<int>(routed.m_sizes[static_cast<std::size_t>(expert)]);
    weights.fill_x_rows(first, static_cast<int>(routed.m_sizes[3]), 0x7f80);
    weights.run(kernel);
    const Comparison comparison = weights.compare();
    for (int expert = 0; expert < plain.E; ++expert) {
      INFO("expert " << expert);
      const double error = comparison.expert_error[static_cast<std::size_t>(expert)];
      CHECK((expert == 3 ? error > 1 : error <= row_tolerance(plain.dtype)));
    }
  }
}
