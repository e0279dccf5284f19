// Kernels of the sm90 family: every role, schedule and operand order, on every op and fusion and ragged rows of every kind.
#include <catch2/catch.hpp>
#include <vector>

#include "tests/gpu/support/gemm_case.hpp"
#include "tests/support/ragged_cases.hpp"
#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Tails in every dimension; an even number of tiles of 128 columns, for clusters.
constexpr Problem plain = {.E = 7, .N = 976, .K = 1160, .top_k = 2};

void check_problem(const Problem& problem) {
  if (!has_sm90()) return;
  std::vector<KernelSpec> kernels;
  for (const KernelConfig& config : sm90_configs(problem)) kernels.push_back({problem, config});
  REQUIRE(kernels.size() >= 6);
  Gpu::get().compile_ahead(kernels);
  for (const KernelSpec& spec : kernels) {
    const GemmKernel kernel = Gpu::get().load(spec);
    CHECK(kernel.resident_blocks() >= spec.config.ctas_per_sm);
    std::vector<CaseSpec> cases = ragged_cases(problem, spec.config.BLOCK_M);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      cases[i].w_row_padding = i % 4 == 3 ? 16 : 0;  // tensor maps carry strides
      check_kernel(cases[i], kernel);
    }
    check_kernel(routed_case(problem, 3000, {RoutingSpec::Kind::zipf, 1.0, 5}), kernel);
  }
}

Problem gathering() {
  Problem problem = plain;
  problem.permute_x = true;
  return problem;
}

}  // namespace

TEST_CASE("sm90: without permutation") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Problem problem = plain;
    problem.dtype = dtype;
    check_problem(problem);
  }
}

TEST_CASE("sm90: permute_x") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Problem problem = gathering();
    problem.dtype = dtype;
    check_problem(problem);
    problem.fuse_mul_pre = true;
    check_problem(problem);
  }
}

TEST_CASE("sm90: permute_y") {
  for (const bool fused : {false, true}) {
    Problem problem = plain;
    problem.gemm = Gemm::down;
    problem.dtype = fused ? DType::bf16 : DType::fp16;
    problem.permute_y = true;
    problem.fuse_mul_post = fused;
    check_problem(problem);
  }
}

TEST_CASE("sm90: fuse_swiglu") {
  for (const bool keep : {false, true}) {
    for (Problem problem : {plain, gathering()}) {
      problem.dtype = keep ? DType::bf16 : DType::fp16;
      problem.fuse_swiglu = true;
      problem.keep_pre_activation = keep;
      check_problem(problem);
      if (!problem.permute_x) continue;
      problem.fuse_mul_pre = true;
      check_problem(problem);
    }
  }
}

TEST_CASE("sm90: dX") {
  for (const int permutation : {0, 1, 2}) {
    Problem problem = plain;
    problem.op = Op::dX;
    problem.dtype = permutation == 1 ? DType::fp16 : DType::bf16;
    problem.permute_x = permutation == 1;
    problem.permute_y = permutation == 2;
    problem.gemm = permutation == 2 ? Gemm::down : Gemm::gate_up;
    check_problem(problem);
  }
}

TEST_CASE("sm90: the smallest sizes") {
  if (!has_sm90()) return;
  for (const Problem& problem : {Problem{.E = 1, .N = 8, .K = 8, .top_k = 1}, Problem{.E = 1, .N = 8, .K = 256, .top_k = 1},
                                 Problem{.E = 65, .N = 72, .K = 8, .top_k = 3, .permute_x = true},
                                 Problem{.E = 2, .N = 16, .K = 8, .top_k = 1, .fuse_swiglu = true}}) {
    for (const KernelConfig& config : sm90_configs(problem)) {
      check_kernel(routed_case(problem, 9, {}), Gpu::get().load({problem, config}));
    }
  }
}
