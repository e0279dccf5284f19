#include "runtime/tune/online_tuner.hpp"

#include <atomic>
#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "tests/support/scripted_bench.hpp"
#include "tests/support/small_tuning.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/paths.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

/// A live device on which larger tiles are slower.
struct OnDemand {
  test::TemporaryFolder folder;
  std::filesystem::path database = folder / "db.json";
  Target target = test::small_tuning(folder.path(), true).target;
  WorkerTunerOptions options;
  test::Behaviour all;
  test::ScriptedBench bench{[this](const KernelConfig& config) {
    test::Behaviour behaviour = all;
    behaviour.us = 50 + config.BLOCK_M;
    return behaviour;
  }};

  void tune(std::int64_t tokens) { tune_point(options, target, test::small_problem(), tokens, database, bench); }
  std::vector<Entry> published() const { return Store(database).read().entries; }
};

}  // namespace

TEST_CASE("on demand: the entry speaks for the token counts that share a power of two, and is journalled") {
  OnDemand demand;
  demand.tune(1024);
  demand.tune(1);
  const auto entries = demand.published();
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].tokens == TokenRange{1, 1, 1});
  CHECK(entries[1].tokens == TokenRange{1024, 513, 1024});
  CHECK(entries[1].source == Source::tuned);
  CHECK(entries[1].problem == test::small_problem());
  const Replay journal = Journal::replay(journal_path(demand.database));
  CHECK(journal.completed.size() == 2);
  CHECK(journal.attempts.size() > 10);
}

TEST_CASE("on demand: a neighbour's entry is not narrowed, and what is decided is taken from the database") {
  OnDemand demand;
  demand.tune(1024);
  demand.tune(512);
  CHECK(demand.published().size() == 2);
  CHECK(demand.published()[0].tokens == TokenRange{512, 257, 512});
  CHECK(demand.published()[1].tokens == TokenRange{1024, 513, 1024});
  const std::size_t set_ups = demand.bench.set_ups.size();
  CHECK_NOTHROW(demand.tune(512));
  CHECK(demand.bench.set_ups.size() == set_ups);
}

TEST_CASE("on demand: the workload is of the asked routing and seed") {
  OnDemand demand;
  demand.options.routing = parse_routing("zipf:1.1");
  demand.options.workers.seed = 5;
  demand.tune(64);
  REQUIRE(demand.bench.set_ups.size() == 1);
  CHECK(demand.bench.set_ups[0].tokens == 64);
  CHECK(demand.bench.set_ups[0].seed == 5);
  CHECK(demand.published()[0].routing.kind == RoutingKind::zipf);
}

TEST_CASE("on demand: whatever keeps an entry from being published is an exception that says so") {
  OnDemand demand;
  SECTION("no candidate is right") {
    demand.all.verify = AttemptStatus::wrong;
    CHECK_THROWS_AS(demand.tune(64), EnvironmentError);
    CHECK_THROWS_WITH(demand.tune(64), Contains("none of the candidates is usable"));
  }
  SECTION("the workload cannot be set up") {
    demand.bench.on_set_up = [](const Workload&) { throw EnvironmentError("out of memory"); };
    CHECK_THROWS_WITH(demand.tune(64), Contains("out of memory"));
  }
  SECTION("the device has no room") {
    demand.target.free_bytes = 1 << 20;
    CHECK_THROWS_AS(demand.tune(64), UsageError);
    CHECK_THROWS_WITH(demand.tune(64), Contains("free"));
  }
  SECTION("cancelled") {
    const std::atomic<bool> cancel{true};
    demand.options.workers.cancel = &cancel;
    CHECK_THROWS_AS(demand.tune(64), Cancelled);
  }
  SECTION("out of time") {
    demand.options.time_budget = 1e-9;
    CHECK_THROWS_WITH(demand.tune(64), Contains("time was up"));
  }
  SECTION("too many tokens") { CHECK_THROWS_WITH(demand.tune(std::int64_t{1} << 40), Contains("cannot be tuned")); }
  CHECK(demand.published().empty());
}

TEST_CASE("on demand: without workers the error names what could not be run") {
  const test::TemporaryFolder folder;
  WorkerTunerOptions options;
  options.workers.command = {"/nonexistent/moe-tune", "worker"};
  WorkerTuner tuner(options);
  OnlineTuner& plugged = tuner;
  CHECK_THROWS_AS(plugged.tune(test::small_problem(), 0, 64, folder / "db.json"), EnvironmentError);
}
