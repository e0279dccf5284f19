// Every op and fusion, on ragged rows of every kind.
#include <vector>

#include "generator/device.hpp"
#include "generator/heuristics.hpp"
#include "tests/emulator/check_kernel.hpp"
#include "tests/support/ragged_cases.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Tails in every dimension.
const Problem plain = {.E = 5, .N = 136, .K = 104, .top_k = 2};

KernelConfig small_config() {
  return {.BLOCK_M = 32, .BLOCK_N = 128, .BLOCK_K = 32, .warps = 4, .warps_m = 1, .stages = 3, .ctas_per_sm = 2};
}

std::vector<CaseSpec> ragged_cases(const Problem& problem) {
  std::vector<CaseSpec> cases;
  for (const int tokens : {0, 1, 3, 17, 64}) cases.push_back(routed_case(problem, tokens, {}));
  cases.push_back(routed_case(problem, 41, {RoutingSpec::Kind::zipf, 1.5, 3}));
  cases.push_back(one_expert_case(problem, 33, problem.E - 1));
  cases.push_back(half_empty_case(problem, 29));
  cases.push_back(partial_case(problem, 25));
  return cases;
}

void check_problem(const Problem& problem) {
  const emulator::GemmKernel kernel(problem, small_config());
  for (const CaseSpec& spec : ragged_cases(problem)) check_kernel(spec, kernel);
}

}  // namespace

TEST_CASE("emulator: forward without permutation, bf16") { check_problem(plain); }

TEST_CASE("emulator: forward without permutation, fp16") {
  Problem problem = plain;
  problem.dtype = DType::fp16;
  check_problem(problem);
}

TEST_CASE("emulator: forward with permute_x") {
  Problem problem = plain;
  problem.permute_x = true;
  check_problem(problem);
}

TEST_CASE("emulator: forward with permute_y") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.permute_y = true;
  check_problem(problem);
}

TEST_CASE("emulator: forward with permute_y and fuse_mul_post, fp16") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.dtype = DType::fp16;
  problem.permute_y = problem.fuse_mul_post = true;
  check_problem(problem);
}

TEST_CASE("emulator: int64 indices, 16-bit weights and strides of every tensor") {
  Problem problem = plain;
  problem.gemm = Gemm::down;
  problem.permute_y = problem.fuse_mul_post = true;
  const emulator::GemmKernel kernel(problem, small_config(), WeightLayout::strided);
  CaseSpec spec = routed_case(problem, 21, {RoutingSpec::Kind::zipf, 1.0, 2});
  spec.m_sizes_64 = spec.gather_indices_64 = true;
  spec.topk_weights_f32 = false;
  spec.x_padding = 8;
  spec.w_row_padding = 24;
  spec.w_expert_padding = 40;
  spec.y_padding = 16;
  check_kernel(spec, kernel);
}

TEST_CASE("emulator: the smallest sizes") {
  for (const Problem& problem : {Problem{.E = 1, .N = 8, .K = 8, .top_k = 1}, Problem{.E = 1, .N = 8, .K = 256, .top_k = 1},
                                 Problem{.E = 65, .N = 72, .K = 8, .top_k = 3}}) {
    check_kernel(routed_case(problem, 9, {}), emulator::GemmKernel(problem, default_config(problem, 9, find_device("h200"))));
  }
}

TEST_CASE("emulator: bad slots and sizes are reported and skipped") {
  for (const bool permute_y : {false, true}) {
    Problem problem = plain;
    problem.permute_x = !permute_y;
    problem.permute_y = permute_y;
    const emulator::GemmKernel kernel(problem, small_config());
    for (const CaseSpec& spec : bad_cases(problem)) check_kernel(spec, kernel, 2);
  }
}

TEST_CASE("emulator: NaN and infinity stay with their rows") {
  // The reference has them too: a row that caught one from a neighbour would differ.
  Problem problem = plain;
  const emulator::GemmKernel kernel(problem, small_config());
  CaseSpec spec = routed_case(problem, 23, {});
  emulator::GemmCase clean(spec);
  clean.run(kernel, 0);
  const std::vector<std::uint16_t> before = clean.y();
  emulator::GemmCase forward(spec);
  forward.set_x_row(11, 0x7fc0);
  forward.run(kernel, 0);
  const std::vector<std::uint16_t> after = forward.y();
  for (int row = 0; row < spec.M(); ++row) {
    const auto first = static_cast<std::size_t>(row * problem.N);
    const bool same =
        std::equal(before.begin() + row * problem.N, before.begin() + (row + 1) * problem.N, after.begin() + row * problem.N);
    CHECK(same == (row != 11));
    if (row == 11) CHECK((after[first] & 0x7fff) > 0x7f80);
  }
}
