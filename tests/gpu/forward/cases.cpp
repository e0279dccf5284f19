// Kernels of the default config over every kind of call: permutations, dtypes, token counts, routing, index types, strides.
#include <catch2/catch.hpp>
#include <vector>

#include "tests/gpu/support/gemm_case.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr int token_counts[] = {0, 1, 3, 17, 64, 129, 1024};

/// Combinations of permutations and fusions: all that exist but for fuse_mul_pre with some.
std::vector<Problem> permutations(Problem problem) {
  std::vector<Problem> result(8, problem);
  result[1].permute_x = true;
  result[2].permute_y = true;
  result[3].permute_y = result[3].fuse_mul_post = true;
  result[4].permute_x = result[4].fuse_mul_pre = true;
  result[5].permute_x = result[5].fuse_swiglu = true;
  result[6].permute_x = result[6].fuse_mul_pre = result[6].fuse_swiglu = result[6].keep_pre_activation = true;
  result[7].fuse_swiglu = true;
  std::erase_if(result, [](const Problem& p) { return p.fuse_swiglu && p.N % 16 != 0; });
  return result;
}

/// Routings worth trying at a token count; index types and strides differ from one to the next.
std::vector<CaseSpec> cases(const Problem& problem, int tokens) {
  std::vector<CaseSpec> result = {
      routed_case(problem, tokens, {}),
      routed_case(problem, tokens, {RoutingSpec::Kind::zipf, 1.0, 11}),
      one_expert_case(problem, tokens, problem.E - 1),
      half_empty_case(problem, tokens),
      partial_case(problem, tokens),
  };
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].m_sizes_64 = i % 2 == 1;
    result[i].gather_indices_64 = i % 3 == 1;
    result[i].topk_weights_f32 = i % 2 == 0;
    result[i].x_padding = i % 2 == 1 ? 16 : 0;
    result[i].y_padding = i % 3 == 2 ? 40 : 0;
    result[i].w_expert_padding = i % 4 == 3 ? 8 : 0;
    result[i].pre_activation_padding = i % 2 == 1 ? 24 : 0;
    result[i].seed = static_cast<std::uint32_t>(i + 1);
  }
  return result;
}

void check_shape(const Problem& shape) {
  // Three configs of the heuristic: for few, some and many rows per expert.
  std::vector<KernelSpec> kernels;
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (Problem problem : permutations(shape)) {
      problem.dtype = dtype;
      for (const Family family : Gpu::get().families(problem)) {
        for (const int tokens : {1, 129, 1024}) kernels.push_back(Gpu::get().default_kernel(problem, tokens, family));
      }
    }
  }
  Gpu::get().compile_ahead(kernels);
  std::size_t next = 0;
  for (const KernelSpec& spec : kernels) {
    const GemmKernel kernel = Gpu::get().load(spec);
    for (const int tokens : token_counts) {
      const std::vector<CaseSpec> all = cases(spec.problem, tokens);
      // Every routing at 129 tokens; elsewhere they take turns from kernel to kernel.
      if (tokens == 129) {
        for (const CaseSpec& each : all) check_kernel(each, kernel);
      } else {
        check_kernel(all[next++ % all.size()], kernel);
      }
    }
  }
}

}  // namespace

TEST_CASE("cases: a first GEMM of odd sizes") { check_shape({.E = 60, .N = 2000, .K = 1408, .top_k = 4}); }

TEST_CASE("cases: a second GEMM of odd sizes") { check_shape({.gemm = Gemm::down, .E = 60, .N = 1408, .K = 1000, .top_k = 4}); }

TEST_CASE("cases: weights whose rows are not contiguous") {
  for (const Problem& problem : permutations({.E = 10, .N = 208, .K = 328, .top_k = 2})) {
    for (const Family family : Gpu::get().families(problem)) {
      for (const int tokens : {3, 129}) {
        KernelSpec spec = Gpu::get().default_kernel(problem, tokens, family);
        spec.layout = WeightLayout::strided;
        const GemmKernel kernel = Gpu::get().load(spec);
        for (const int padding : {0, 8, 64}) {
          CaseSpec each = routed_case(problem, tokens, {});
          each.w_row_padding = padding;
          each.w_expert_padding = padding / 2 / 8 * 8;
          check_kernel(each, kernel);
        }
      }
    }
  }
}

TEST_CASE("cases: many experts") { check_shape({.E = 128, .N = 384, .K = 512, .top_k = 8}); }

TEST_CASE("cases: the smallest sizes") {
  check_shape({.E = 1, .N = 8, .K = 8, .top_k = 1});
  check_shape({.E = 3, .N = 8, .K = 8, .top_k = 2});
  check_shape({.E = 5, .N = 24, .K = 40, .top_k = 5});
}
