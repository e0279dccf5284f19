// Tensors of more than 2^31 elements: every offset must be computed with 64 bits.
#include <catch2/catch.hpp>
#include <initializer_list>
#include <vector>

#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/gemm_case.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr std::int64_t limit = std::int64_t{1} << 31;

/// Whether the GPU has that much memory to spare; says so when not.
bool fits(std::int64_t bytes) {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  Gpu::get();
  driver().cuMemGetInfo(&free_bytes, &total_bytes);
  if (static_cast<std::int64_t>(free_bytes) > bytes + (std::int64_t{2} << 30)) return true;
  WARN("not tried: needs " << (bytes >> 30) << " GiB of device memory, " << (free_bytes >> 30) << " GiB are free");
  return false;
}

std::vector<KernelSpec> default_kernels(const CaseSpec& spec) {
  std::vector<KernelSpec> kernels;
  for (const Family family : Gpu::get().families(spec.problem)) {
    kernels.push_back(Gpu::get().default_kernel(spec.problem, spec.tokens, family));
  }
  return kernels;
}

std::vector<KernelSpec> named_kernels(const CaseSpec& spec, std::initializer_list<const char*> configs) {
  std::vector<KernelSpec> kernels;
  for (const char* config : configs) kernels.push_back({spec.problem, parse_config(config)});
  return kernels;
}

void check_large(const CaseSpec& spec, const std::vector<KernelSpec>& kernels) {
  INFO(spec.describe());
  GemmCase forward(spec);
  for (const KernelSpec& kernel : kernels) {
    CHECK(forward.run(Gpu::get().load(kernel)) == 0);
    const Comparison comparison = forward.compare();
    INFO(to_string(kernel.config) << " worst row error " << comparison.max_row_error << ", first bad row "
                                  << comparison.first_bad_row);
    CHECK(comparison.pass());
  }
}

}  // namespace

TEST_CASE("large: a weight of more than 2^31 elements") {
  const Problem problem = {.E = 130, .N = 4096, .K = 4096, .top_k = 2, .permute_x = true};
  REQUIRE(std::int64_t{problem.E} * problem.N * problem.K > limit);
  if (!fits(limit * 2)) return;
  const CaseSpec spec = routed_case(problem, 200, {});
  check_large(spec, default_kernels(spec));
}

TEST_CASE("large: an output of more than 2^31 elements") {
  const Problem problem = {.gemm = Gemm::down, .E = 4, .N = 32768, .K = 8, .top_k = 1, .permute_y = true};
  const int tokens = 66000;
  REQUIRE(std::int64_t{tokens} * problem.N > limit);
  if (!fits(limit * 6)) return;
  const CaseSpec spec = one_expert_case(problem, tokens, 3);
  check_large(spec, default_kernels(spec));
}

TEST_CASE("large: an output of more than 2^31 elements in expert order") {
  const Problem problem = {.E = 4, .N = 32768, .K = 64, .top_k = 1};
  const int tokens = 66000;
  REQUIRE(std::int64_t{tokens} * problem.N > limit);
  if (!has_sm90() || !fits(limit * 6)) return;
  const CaseSpec spec = routed_case(problem, tokens, {});
  check_large(spec, named_kernels(spec, {"sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_dispatch",
                                         "sm90_128x256x64_tokens_coop_w12_s3_c1_x1_queue_mfast_dispatch"}));
}

TEST_CASE("large: a workspace of more than 2^31 elements") {
  const Problem problem = {.E = 16, .N = 128, .K = 32768, .top_k = 8, .permute_x = true};
  const int tokens = 8250;
  REQUIRE(std::int64_t{tokens} * problem.top_k * problem.K > limit);
  if (!has_sm90() || !fits(limit * 3)) return;
  const CaseSpec spec = routed_case(problem, tokens, {});
  check_large(spec, named_kernels(spec, {"sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
                                         "sm90_64x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead"}));
}

TEST_CASE("large: an input of more than 2^31 elements, by its stride") {
  const Problem problem = {.E = 4, .N = 64, .K = 64, .top_k = 1};
  CaseSpec spec = half_empty_case(problem, 70000);
  spec.x_padding = 32768 - problem.K;
  REQUIRE(std::int64_t{spec.tokens} * 32768 > limit);
  if (fits(limit * 2)) check_large(spec, default_kernels(spec));
}
