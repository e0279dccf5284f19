// The GPU and the emulated device agree: the same emitted source, the same inputs.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "generator/config_space.hpp"
#include "runtime/emulator/gemm_kernel.hpp"
#include "runtime/reference/half.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/support/spread_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Each element is rounded once from a float32 sum in an order of its own: two such sums may fall on both sides of a rounding
/// boundary, which is a difference of one unit in the last place in a few elements.
void check_agreement(const Problem& problem, const std::vector<std::uint16_t>& gpu, const std::vector<std::uint16_t>& emulated) {
  REQUIRE(gpu.size() == emulated.size());
  std::size_t different = 0;
  std::size_t apart = 0;
  for (std::size_t i = 0; i < gpu.size(); ++i) {
    if (gpu[i] == emulated[i]) continue;
    ++different;
    const float a = to_float(gpu[i], problem.dtype), b = to_float(emulated[i], problem.dtype);
    const float ulp = problem.dtype == DType::bf16 ? 0x1p-7f : 0x1p-10f;
    // Near zero sums cancel: what float32 leaves of terms of size 1.
    if (!(std::abs(a - b) <= std::max(ulp * std::abs(a), 1e-5f))) ++apart;
  }
  CHECK(apart == 0);
  CHECK(different <= gpu.size() / 50 + 1);
}

void check_problem(const Problem& problem) {
  std::vector<KernelSpec> kernels;
  for (const KernelConfig& config : spread(config_space(problem, Gpu::get().description()), 1)) {
    kernels.push_back({problem, config});
  }
  REQUIRE(kernels.size() > 8);
  Gpu::get().compile_ahead(kernels);
  for (const KernelSpec& spec : kernels) {
    const GemmKernel kernel = Gpu::get().load(spec);
    const emulator::GemmKernel emulated_kernel(problem, spec.config);
    for (const CaseSpec& call : {routed_case(problem, 41, {RoutingSpec::Kind::zipf, 1.5, 3}), partial_case(problem, 25)}) {
      INFO(call.describe() << " " << to_string(spec.config));
      GemmCase on_gpu(call);
      CHECK(on_gpu.run(kernel) == 0);
      emulator::GemmCase emulated(call);
      CHECK(emulated.run(emulated_kernel, 2) == 0);
      check_agreement(problem, on_gpu.download_y(), emulated.y());
      if (problem.keep_pre_activation) {
        check_agreement(problem, on_gpu.download_pre_activation(), emulated.pre_activation());
      }
    }
  }
}

}  // namespace

TEST_CASE("emulated: without permutation, bf16") { check_problem({.E = 5, .N = 264, .K = 136, .top_k = 2}); }

TEST_CASE("emulated: permute_x, fp16") {
  check_problem({.dtype = DType::fp16, .E = 5, .N = 264, .K = 136, .top_k = 2, .permute_x = true});
}

TEST_CASE("emulated: permute_x, fuse_mul_pre and fuse_swiglu that keeps the pre-activation, bf16") {
  const Problem problem = {.E = 5,
                           .N = 272,
                           .K = 136,
                           .top_k = 2,
                           .permute_x = true,
                           .fuse_mul_pre = true,
                           .fuse_swiglu = true,
                           .keep_pre_activation = true};
  if (!Gpu::get().families(problem).empty()) check_problem(problem);
}

TEST_CASE("emulated: permute_y and fuse_mul_post, bf16") {
  check_problem({.gemm = Gemm::down, .E = 5, .N = 264, .K = 136, .top_k = 2, .permute_y = true, .fuse_mul_post = true});
}
