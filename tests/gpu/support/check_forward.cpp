#include <catch2/catch.hpp>

#include "generator/constraints.hpp"
#include "tests/gpu/support/forward_case.hpp"

namespace moe_tune::test {

void check_result(const ForwardCase& forward) {
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

void check_forward(const CaseSpec& spec, const ForwardKernel& kernel, int max_sms) {
  INFO(spec.describe());
  INFO(to_string(kernel.config()));
  ForwardCase forward(spec);
  CHECK(forward.run(kernel, nullptr, max_sms) == 0);
  check_result(forward);
}

bool has_sm90() {
  const bool runs = runs_on(Family::sm90, Gpu::get().description());
  if (!runs) WARN("not tried: kernels of the sm90 family, which need a GPU of compute capability 9.0");
  return runs;
}

}  // namespace moe_tune::test
