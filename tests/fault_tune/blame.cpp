// Who is blamed when a worker says that it cannot: the candidate, or the machine.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/tune/worker_bench.hpp"
#include "tests/support/small_tuning.hpp"

using namespace moe_tune;

namespace {

WorkerBenchOptions failing_as(const std::string& kind) {
  WorkerBenchOptions options;
  options.command = {MOE_TUNE_FAKE_WORKER, "fail_as_" + kind};
  options.jobs = 2;
  return options;
}

const std::vector<KernelConfig> two_configs(2);

}  // namespace

TEST_CASE("an error of the machine is no candidate's: compiling, verifying and timing throw it") {
  WorkerBench bench(failing_as("environment"));
  const Problem problem = test::small_problem();
  for (int i = 0; i < 2; ++i) {
    int told = 0;
    const auto count = [&](std::size_t, const CompileOutcome&) { ++told; };
    CHECK_THROWS_WITH(bench.compile(problem, two_configs, find_device("h200"), count), "it did not go well");
    CHECK(told == 0);
  }
  bench.set_up({problem, 3, {}, 1});
  CHECK_THROWS_AS(bench.verify(two_configs[0]), EnvironmentError);
  CHECK_THROWS_AS(bench.time(two_configs, 3), EnvironmentError);
}

TEST_CASE("every other error is the candidate's, as what it is") {
  const auto [kind, status] = GENERATE(table<std::string, AttemptStatus>({{"other", AttemptStatus::crashed},
                                                                          {"compile", AttemptStatus::compile_error},
                                                                          {"usage", AttemptStatus::compile_error},
                                                                          {"fault", AttemptStatus::fault},
                                                                          {"hang", AttemptStatus::hung}}));
  CAPTURE(kind);
  WorkerBench bench(failing_as(kind));
  for (const CompileOutcome& outcome : bench.compile(test::small_problem(), two_configs, find_device("h200"), {})) {
    CHECK(outcome.status == AttemptStatus::compile_error);
  }
  bench.set_up({test::small_problem(), 3, {}, 1});
  const VerifyOutcome verified = bench.verify(two_configs[0]);
  CHECK(verified.status == status);
  CHECK(is_failure(verified.status));
  CHECK(verified.message == "it did not go well");
  const TimeOutcome timed = bench.time(two_configs, 3);
  CHECK(timed.culprit == 0);
  CHECK(timed.status == status);
}
