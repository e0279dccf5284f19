#include <catch2/catch.hpp>

#include "generator/constraints.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/gpu/support/weights_case.hpp"

namespace moe_tune::test {

void check_result(const GemmCase& forward) {
  const Comparison comparison = forward.compare();
  INFO("worst row error " << comparison.max_row_error << ", first bad row " << comparison.first_bad_row);
  CHECK(comparison.bad_rows == 0);
  const double tolerance = row_tolerance(forward.spec().problem.dtype);
  for (int expert = 0; expert < forward.spec().problem.E; ++expert) {
    if (comparison.expert_error[expert] <= tolerance) continue;
    FAIL_CHECK("expert " << expert << " has a row error of " << comparison.expert_error[expert]);
  }
  CHECK(forward.guards_intact());
  CHECK(forward.queue() == 0);
}

void check_kernel(const CaseSpec& spec, const GemmKernel& kernel, int max_sms) {
  INFO(spec.describe());
  INFO(to_string(kernel.config()));
  GemmCase forward(spec);
  CHECK(forward.run(kernel, nullptr, max_sms) == 0);
  check_result(forward);
}

bool has_sm90() {
  const bool runs = runs_on(Family::sm90, Gpu::get().description());
  if (!runs) WARN("not tried: kernels of the sm90 family, which need a GPU of compute capability 9.0");
  return runs;
}

void check_weights(const CaseSpec& spec, const GemmKernel& kernel) {
  INFO(spec.describe());
  INFO(to_string(kernel.config()));
  WeightsCase weights(spec);
  CHECK(weights.run(kernel) == 0);
  const Comparison comparison = weights.compare();
  INFO(comparison.bad_rows << " bad rows, the first is " << comparison.first_bad_row);
  CHECK(comparison.bad_rows == 0);
  for (const double error : comparison.expert_error) CHECK(error <= row_tolerance(spec.problem));
  for (int expert = 0; expert < spec.problem.E; ++expert) {
    if (spec.problem.accumulate && spec.m_sizes[static_cast<std::size_t>(expert)] == 0) CHECK(weights.kept(expert));
  }
  CHECK(weights.guards_intact());
  CHECK(weights.queue() == 0);
}

}  // namespace moe_tune::test
