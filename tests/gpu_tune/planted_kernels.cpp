// Kernels that are wrong but faster, hang, or write where they must not: on a real GPU they never win and cost nothing else.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <thread>
#include <vector>

#include "generator/config_space.hpp"
#include "generator/heuristics.hpp"
#include "runtime/tune/search.hpp"
#include "runtime/tune/tuner.hpp"
#include "runtime/tune/worker_bench.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/small_tuning.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/paths.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;

namespace {

struct Machine {
  test::TemporaryFolder folder;
  test::EnvironmentVariable cache{"MOE_TUNE_CACHE_DIR", (folder / "cache").string()};
  WorkerBenchOptions options;
  Target target;

  Machine() {
    options.command = {MOE_TUNE_FAULTY_KERNELS};
    options.jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    options.launch_limit_ms = 2000;
    target = query_target(options).value();
  }
};

KernelConfig sound(int block_n) {
  KernelConfig config;
  config.BLOCK_M = 64;
  config.BLOCK_N = block_n;
  config.warps_m = 2;
  config.stages = 3;
  return config;
}

KernelConfig planted(int stages) {
  KernelConfig config = sound(128);
  config.tile_order = TileOrder::n_fastest;
  config.stages = stages;
  return config;
}

}  // namespace

TEST_CASE("planted kernels are found out, each for what it does") {
  const Machine machine;
  WorkerBench bench(machine.options);
  SearchInput input;
  input.workload = {test::small_problem(), 256, {}, 1};
  input.candidates = {sound(128), planted(2), planted(3), planted(4), planted(5), sound(64)};
  input.default_config = sound(128);
  for (const KernelConfig& config : input.candidates) {
    REQUIRE(in_config_space(input.workload.problem, config, machine.target.device));
  }
  for (const CompileOutcome& outcome : bench.compile(input.workload.problem, input.candidates, machine.target.device, {})) {
    CAPTURE(outcome.message);
    REQUIRE(outcome.status == AttemptStatus::compiled);
  }
  bench.set_up(input.workload);
  std::map<KernelConfig, std::vector<AttemptStatus>> statuses;
  const SearchOutcome outcome =
      search(bench, input, {[&](const SearchEvent& event) { statuses[event.config].push_back(event.status); }, {}, {}});

  CHECK(statuses.at(planted(2)) == std::vector{AttemptStatus::wrong});
  CHECK(statuses.at(planted(3)) == std::vector{AttemptStatus::hung});
  CHECK(statuses.at(planted(4)) == std::vector{AttemptStatus::crashed});
  CHECK(statuses.at(planted(5)) == std::vector{AttemptStatus::wrong});
  CHECK(outcome.failed == 4);
  CHECK(outcome.measured == 2);
  REQUIRE(outcome.winner);
  CHECK(outcome.winner->tile_order == TileOrder::m_fastest);
  CHECK(outcome.verify.status == VerifyStatus::pass);
  CHECK(outcome.time.median > 0);
}

TEST_CASE("a whole run among planted kernels ends with sound winners, and a second one resumes") {
  const Machine machine;
  TuneOptions options = test::small_tuning(machine.folder.path(), true);
  options.target = machine.target;
  options.jobs = machine.options.jobs;
  options.model_best = 12;
  options.tokens = {16, 512};
  WorkerBench bench(machine.options);
  TuneObserver observer;
  const TuneResult result = tune(options, make_plan(options), bench, observer);
  for (const PointResult& point : result.points) {
    CAPTURE(point.message);
    REQUIRE(point.status == PointStatus::tuned);
    CHECK(point.entry->config.tile_order == TileOrder::m_fastest);
    CHECK(point.entry->verify.status == VerifyStatus::pass);
    CHECK(point.entry->env.uuid == machine.target.env.uuid);
  }
  CHECK(Store(options.database).read().entries.size() == 2);
  CHECK(tune(options, make_plan(options), bench, observer).points[1].status == PointStatus::resumed);
}
