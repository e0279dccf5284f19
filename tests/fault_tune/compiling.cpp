// Real workers with the real compiler: planted bad sources, and a prediction from end to end.
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "runtime/jit/nvrtc.hpp"
#include "runtime/tune/tuner.hpp"
#include "runtime/tune/worker_bench.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/small_tuning.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/paths.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;

namespace {

/// A cubin cache of the test's own, so that everything is compiled.
struct Machine {
  test::TemporaryFolder folder;
  test::EnvironmentVariable cache{"MOE_TUNE_CACHE_DIR", (folder / "cache").string()};
  WorkerBenchOptions options;

  explicit Machine(std::vector<std::string> command = {MOE_TUNE_FAULTY_COMPILER}) {
    options.command = std::move(command);
    options.jobs = 2;
    options.compile_limit_ms = 60'000;
  }
};

KernelConfig config_with(int BLOCK_M) {
  KernelConfig config;
  config.BLOCK_M = BLOCK_M;
  config.warps = BLOCK_M == 256 ? 8 : 4;
  config.warps_m = BLOCK_M == 256 ? 4 : 1;
  config.stages = 2;
  return config;
}

}  // namespace

TEST_CASE("the version of the compiler comes from a worker") {
  const Machine machine;
  CHECK(query_nvrtc(machine.options) == to_string(nvrtc().version()));
}

TEST_CASE("a compile bomb, a source that does not compile and a compiler that dies cost nothing but themselves") {
  Machine machine;
  machine.options.compile_limit_ms = 8000;
  WorkerBench bench(machine.options);
  const std::vector<KernelConfig> configs = {config_with(16), config_with(32), config_with(64), config_with(128),
                                             config_with(256)};
  std::map<std::size_t, AttemptStatus> told;
  const auto outcomes = bench.compile(test::small_problem(), configs, find_device("h200"),
                                      [&](std::size_t i, const CompileOutcome& outcome) { told[i] = outcome.status; });
  REQUIRE(outcomes.size() == 5);
  CAPTURE(outcomes[0].message, outcomes[4].message);
  CHECK(outcomes[0].status == AttemptStatus::compile_timeout);
  CHECK(outcomes[1].status == AttemptStatus::compile_error);
  CHECK_THAT(outcomes[1].message, Catch::Contains("sm80_32x128x64"));
  CHECK(outcomes[2].status == AttemptStatus::compile_error);
  CHECK_THAT(outcomes[2].message, Catch::Contains("the emitter gives up"));
  CHECK(outcomes[3].status == AttemptStatus::crashed);
  CHECK((outcomes[4].status == AttemptStatus::compiled || outcomes[4].status == AttemptStatus::spilled));
  CHECK(outcomes[4].resources.regs > 0);
  CHECK(outcomes[4].resources.smem > 0);
  for (std::size_t i = 0; i < 5; ++i) CHECK(told.at(i) == outcomes[i].status);
}

TEST_CASE(
    "a prediction from end to end: emitted, compiled by NVRTC, ranked, verified on the emulated device, published, resumed") {
  const Machine machine({MOE_TUNE_FAULTY_COMPILER, "sound"});
  TuneOptions options = test::small_tuning(machine.folder.path(), false);
  options.target = named_target(find_device("h200"), query_nvrtc(machine.options));
  options.tokens = {4, 256};
  options.predicted_best = 6;
  options.jobs = 2;
  WorkerBenchOptions bench_options = machine.options;
  bench_options.place = {.device = DeviceKind::emulator, .schedules = 2, .experts = 2};
  WorkerBench bench(bench_options);
  TuneObserver observer;
  const TuneResult result = tune(options, make_plan(options), bench, observer);
  REQUIRE(result.points.size() == 2);
  for (const PointResult& point : result.points) {
    CAPTURE(point.message);
    REQUIRE(point.status == PointStatus::predicted);
    CHECK(point.failed == 0);
    CHECK(point.compiled >= 6);
    CHECK(point.entry->resources.regs > 0);
    CHECK(point.entry->resources.spill_bytes == 0);
    CHECK(point.entry->verify.status == VerifyStatus::pass);
    CHECK(point.entry->verify.device == DeviceKind::emulator);
  }
  CHECK(Store(options.database).read().entries.size() == 2);
  CHECK(Journal::replay(journal_path(options.database)).completed.size() == 2);
  CHECK(tune(options, make_plan(options), bench, observer).points[0].status == PointStatus::resumed);
}

TEST_CASE("without a GPU the target is nothing, with a reason") {
  const Machine machine;
  std::string why;
  const auto target = query_target(machine.options, &why);
  if (target) {
    CHECK(target->live);
    CHECK(target->free_bytes > 0);
    CHECK_FALSE(target->env.uuid.empty());
  } else {
    CHECK_FALSE(why.empty());
  }
}
