// Device data that no host check can see: reported by a sticky status, never followed out of bounds.
#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "tests/gpu/support/gemm_case.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr Problem shape = {.E = 9, .N = 200, .K = 136, .top_k = 2};

Problem with_permutation(int permutation) {
  Problem problem = shape;
  problem.permute_x = permutation == 1;
  problem.permute_y = permutation == 2;
  return problem;
}

void check_status(const CaseSpec& spec, unsigned expected) {
  INFO(spec.describe());
  GemmCase forward(spec);
  for (const Family family : Gpu::get().families(spec.problem)) {
    const KernelSpec kernel = Gpu::get().default_kernel(spec.problem, spec.tokens, family);
    INFO(to_string(kernel.config));
    CHECK(forward.run(Gpu::get().load(kernel)) == expected);
    check_result(forward);  // rows that are not bad are right, and nothing else is written
  }
}

}  // namespace

TEST_CASE("bad data: slots outside [0, M) are skipped and reported") {
  for (const int permutation : {1, 2}) {
    for (const bool is_64 : {false, true}) {
      CaseSpec spec = routed_case(with_permutation(permutation), 150, {});
      spec.gather_indices_64 = is_64;
      const std::int64_t M = spec.M();
      const std::int64_t low = std::numeric_limits<std::int32_t>::min();
      const std::int64_t high = std::numeric_limits<std::int32_t>::max();
      spec.gather_indices[0] = -1;
      spec.gather_indices[7] = M;
      spec.gather_indices[100] = high;
      spec.gather_indices[200] = low + 1;
      spec.gather_indices[M - 1] = is_64 ? (std::int64_t{1} << 32) + 3 : M + 1;  // in bounds if only the low word were read
      check_status(spec, abi::status_bad_gather_index);
    }
  }
}

TEST_CASE("bad data: every bad slot is reported, also when it is the only one") {
  const std::int64_t low = std::numeric_limits<std::int32_t>::min();
  const std::int64_t low_64 = std::numeric_limits<std::int64_t>::min();
  for (const int permutation : {1, 2}) {
    for (const std::int64_t slot : {std::int64_t{-1}, std::int64_t{300}, low, -low, low_64, low_64 + 5}) {
      CaseSpec spec = routed_case(with_permutation(permutation), 150, {});
      REQUIRE(spec.M() == 300);
      spec.gather_indices_64 = slot < low || slot >= -low;
      spec.gather_indices[10] = slot;
      check_status(spec, abi::status_bad_gather_index);
    }
  }
}

TEST_CASE("bad data: slots are not looked at without a permutation, nor past the sum of m_sizes") {
  CaseSpec unused = routed_case(with_permutation(0), 150, {});
  for (std::int64_t& slot : unused.gather_indices) slot = -1;
  check_status(unused, 0);
  CaseSpec past = partial_case(with_permutation(2), 150);
  past.gather_indices.back() = -1;
  check_status(past, 0);
}

TEST_CASE("bad data: negative or too large m_sizes are cut and reported") {
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const std::int64_t large = std::numeric_limits<std::int32_t>::max();
  for (const int permutation : {0, 1, 2}) {
    const CaseSpec good = routed_case(with_permutation(permutation), 150, {});
    check_status(good, 0);
    for (const bool is_64 : {false, true}) {
      const std::vector<std::vector<std::int64_t>> bad = {
          {-1, 10, 20, 0, 0, 0, 0, 0, 0},
          {10, 20, 0, 0, 0, 0, 0, 0, 301},
          {301, 0, 0, 0, 0, 0, 0, 0, 0},
          {100, 100, 100, 0, 0, 0, 0, 0, 1},
          {large, large, large, large, large, large, large, large, large},
          {-large, large, -large, 5, -1, 6, -1, 7, -1},
      };
      for (const std::vector<std::int64_t>& sizes : bad) {
        CaseSpec spec = good;
        spec.m_sizes = sizes;
        spec.m_sizes_64 = is_64;
        check_status(spec, abi::status_bad_m_sizes);
      }
    }
    CaseSpec spec = good;
    spec.m_sizes = {huge, -huge, huge, std::int64_t{1} << 32, 0, 0, 0, 0, 0};
    spec.m_sizes_64 = true;
    check_status(spec, abi::status_bad_m_sizes);
  }
}

TEST_CASE("bad data: the status stays until it is cleared") {
  CaseSpec spec = routed_case(with_permutation(1), 40, {});
  spec.gather_indices[3] = -7;
  GemmCase bad(spec);
  const GemmKernel kernel = Gpu::get().load(Gpu::get().default_kernel(spec.problem, spec.tokens));
  CHECK(bad.run(kernel) == abi::status_bad_gather_index);
  abi::GroupedGemmArgs args = bad.args();
  GemmCase good(routed_case(with_permutation(1), 40, {}));
  args.gather_indices = good.args().gather_indices;
  kernel.launch(args, good.resources(), nullptr);
  CHECK(bad.status() == abi::status_bad_gather_index);
}

TEST_CASE("bad data: NaN and infinity stay with their rows") {
  for (const int permutation : {0, 1, 2}) {
    const CaseSpec spec = one_expert_case(with_permutation(permutation), 150, 4);
    CaseSpec split = spec;
    split.m_sizes = {70, 0, 61, 0, 29, 100, 0, 40, 0};
    GemmCase forward(split);
    // Rows of x that only the third expert reads: slots fall along the rows, two per token.
    const int first = permutation == 1 ? (spec.M() - 131 + 1) / 2 : 70;
    const int rows = permutation == 1 ? 30 : 61;
    forward.fill_x_rows(first, rows / 2, 0x7fff);
    forward.fill_x_rows(first + rows / 2, rows - rows / 2, 0x7f80);
    forward.refresh_reference();
    for (const Family family : Gpu::get().families(split.problem)) {
      const KernelSpec kernel = Gpu::get().default_kernel(split.problem, split.tokens, family);
      CHECK(forward.run(Gpu::get().load(kernel)) == 0);
      const Comparison comparison = forward.compare();
      INFO(split.describe() << " " << to_string(kernel.config));
      CHECK(comparison.bad_rows == (permutation == 1 ? 2 * rows : rows));
      for (int expert = 0; expert < split.problem.E; ++expert) {
        INFO("expert " << expert);
        CHECK((comparison.expert_error[expert] <= row_tolerance(split.problem.dtype)) == (expert != 2));
      }
      CHECK(forward.guards_intact());
    }
  }
}
