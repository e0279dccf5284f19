#include "runtime/tune/tuner.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "generator/constraints.hpp"
#include "generator/heuristics.hpp"
#include "moe_tune/error.hpp"
#include "tests/support/scripted_bench.hpp"
#include "tests/support/small_tuning.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/paths.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using test::Behaviour;
namespace fs = std::filesystem;

namespace {

/// Larger tiles are slower at few tokens and faster at many; only the token count set up last is known to the script.
struct Tuning {
  test::TemporaryFolder folder;
  TuneOptions options = test::small_tuning(folder.path(), true);
  std::set<KernelConfig> wrong, spilling;
  std::vector<std::string> warnings;
  std::vector<int> tokens_started;
  std::function<void()> on_point_start;

  Tuning() {
    options.model_best = 10;
    options.random = 2;
  }

  struct Observer : TuneObserver {
    explicit Observer(Tuning& owner) : owner_(owner) {}
    void on_point_start(const PointPlan& point, int, int, double) override {
      owner_.tokens_started.push_back(point.tokens);
      if (owner_.on_point_start) owner_.on_point_start();
    }
    void on_warning(const std::string& text) override { owner_.warnings.push_back(text); }
    Tuning& owner_;
  };

  test::ScriptedBench make_bench() const {
    return test::ScriptedBench([this](const KernelConfig& config) {
      Behaviour behaviour;
      behaviour.us = 50 + config.BLOCK_M * 0.1 + config.stages + config.warps * 0.01 + config.BLOCK_N * 0.003;
      if (wrong.contains(config)) behaviour.verify = AttemptStatus::wrong;
      if (spilling.contains(config)) behaviour.compile = AttemptStatus::spilled;
      return behaviour;
    });
  }

  /// For a device that is not here.
  void predict() { options.target = named_target(find_device("h200"), "13.0"); }
  test::ScriptedBench make_emulator() const {
    test::ScriptedBench bench = make_bench();
    bench.device = DeviceKind::emulator;
    return bench;
  }

  TuneResult run(test::ScriptedBench& bench) {
    Observer observer(*this);
    return tune(options, make_plan(options), bench, observer);
  }
  TuneResult run() {
    test::ScriptedBench bench = options.target.live ? make_bench() : make_emulator();
    return run(bench);
  }
  std::vector<Entry> published() const { return Store(options.database).read().entries; }
  Replay journal() const { return Journal::replay(journal_path(options.database)); }
};

}  // namespace

TEST_CASE("a measured run publishes one entry per token count, with its range and everything known") {
  Tuning tuning;
  const TuneResult result = tuning.run();
  REQUIRE(result.points.size() == 3);
  CHECK(result.unpublished.empty());
  CHECK_FALSE(result.cancelled);
  for (const PointResult& point : result.points) {
    CAPTURE(point.tokens, point.message);
    CHECK(point.status == PointStatus::tuned);
    REQUIRE(point.entry);
    CHECK(point.tflops > 0);
    CHECK(point.gb_per_s > 0);
    CHECK(point.roofline > 0);
    CHECK(point.compiled > 8);
    CHECK(point.verified == point.compiled);
    REQUIRE(point.model);
    CHECK(point.model->rank_of_best >= 1);
    CHECK(point.model->first_loss >= point.model->best_of_five_loss);
  }
  const std::vector<Entry> entries = tuning.published();
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].tokens == TokenRange{1, 1, 4});
  CHECK(entries[1].tokens == TokenRange{16, 5, 64});
  CHECK(entries[2].tokens == TokenRange{256, 65, 512});
  for (const Entry& entry : entries) {
    CHECK(entry.source == Source::tuned);
    CHECK(entry.verify.status == VerifyStatus::pass);
    CHECK(entry.time.n > 0);
    CHECK((entry.search.stop == "separated" || entry.search.stop == "tied"));
    CHECK(entry.search.space == result.points[0].space);
    CHECK(entry.resources.regs == 128);
    CHECK(entry.resources.ctas_per_sm == 2);
    CHECK(entry.gen == current_generator(entry.problem.op, entry.config.family));
    CHECK(entry.env == tuning.options.target.env);
  }
}

TEST_CASE("a run that is repeated takes everything from the database") {
  Tuning tuning;
  const TuneResult first = tuning.run();
  test::ScriptedBench bench = tuning.make_bench();
  const TunePlan plan = make_plan(tuning.options);
  CHECK(std::all_of(plan.points.begin(), plan.points.end(), [](const PointPlan& point) { return point.done; }));
  CHECK(plan.seconds == 0);
  const TuneResult second = tuning.run(bench);
  CHECK(bench.compiled.empty());
  CHECK(bench.set_ups.empty());
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(second.points[i].status == PointStatus::resumed);
    CHECK(second.points[i].entry == first.points[i].entry);
    CHECK(second.points[i].tflops == first.points[i].tflops);
  }

  SECTION("but not for another routing, compiler or kind of run") {
    SECTION("routing") { tuning.options.routing = parse_routing("zipf:1.0"); }
    SECTION("compiler") { tuning.options.target.env.nvrtc = "13.1"; }
    SECTION("retune") { tuning.options.retune = true; }
    SECTION("database gone") { fs::remove(tuning.options.database); }
    CHECK(tuning.run().points[0].status == PointStatus::tuned);
  }
}

TEST_CASE("a cancelled run keeps what it decided and goes on from there") {
  Tuning tuning;
  test::ScriptedBench bench = tuning.make_bench();
  bench.cancel_after_compiles = 14;  // in the middle of the second point
  const TuneResult first = tuning.run(bench);
  CHECK(first.cancelled);
  CHECK(first.points[0].status == PointStatus::tuned);
  CHECK(first.points[1].status == PointStatus::skipped);
  CHECK(tuning.published().size() == 1);

  const TuneResult second = tuning.run();
  CHECK_FALSE(second.cancelled);
  CHECK(second.points[0].status == PointStatus::resumed);
  CHECK(second.points[1].status == PointStatus::tuned);
  CHECK(second.points[2].status == PointStatus::tuned);
  CHECK(tuning.published().size() == 3);
}

TEST_CASE("a set cancel flag starts nothing") {
  Tuning tuning;
  const std::atomic<bool> cancel{true};
  tuning.options.cancel = &cancel;
  const TuneResult result = tuning.run();
  CHECK(result.cancelled);
  for (const PointResult& point : result.points) CHECK(point.status == PointStatus::skipped);
  CHECK(tuning.published().empty());
}

TEST_CASE("failed candidates are journalled, never win, and are not tried again") {
  Tuning tuning;
  const KernelConfig best = tuning.run().points[0].entry->config;
  tuning.wrong = {best};
  tuning.options.retune = true;
  const TuneResult second = tuning.run();
  for (const PointResult& point : second.points) CHECK(point.entry->config != best);
  const Replay journal = tuning.journal();
  const auto failures = [&](const Replay& replay) {
    return std::count_if(replay.attempts.begin(), replay.attempts.end(), [&](const Attempt& attempt) {
      return attempt.config == best && attempt.status == AttemptStatus::wrong;
    });
  };
  CHECK(failures(journal) == 1);  // wrong at the first point, left out at the others
  tuning.run();
  CHECK(failures(tuning.journal()) == 1);
}

TEST_CASE("spilling kernels are dropped before they are launched") {
  Tuning tuning;
  const KernelConfig best = tuning.run().points[0].entry->config;
  tuning.spilling = {best};
  tuning.options.retune = true;
  test::ScriptedBench bench = tuning.make_bench();
  const TuneResult result = tuning.run(bench);
  CHECK(bench.verifications.count(best) == 0);
  CHECK(result.points[0].failed == 1);
  CHECK(result.points[0].entry->config != best);
}

TEST_CASE("a point without a usable candidate fails and the others go on") {
  Tuning tuning;
  tuning.options.tokens = {1, 16};
  test::ScriptedBench bench = tuning.make_bench();
  bench.on_set_up = [](const Workload& workload) {
    if (workload.tokens == 1) throw EnvironmentError("no memory");
  };
  const TuneResult result = tuning.run(bench);
  CHECK(result.points[0].status == PointStatus::failed);
  CHECK(result.points[0].message == "no memory");
  CHECK(result.points[1].status == PointStatus::tuned);
}

TEST_CASE("both families compete on a Hopper device, and every record names the generator of its family") {
  for (const Family fast : {Family::sm80, Family::sm90}) {
    Tuning tuning;
    tuning.options.tokens = {16};
    test::ScriptedBench bench([fast](const KernelConfig& config) {
      return Behaviour{.us = (config.family == fast ? 50 : 100) + 0.01 * config.BLOCK_M + 0.001 * config.stages};
    });
    tuning.options.random = 20;
    const TuneResult result = tuning.run(bench);
    REQUIRE(result.points[0].entry);
    CHECK(result.points[0].entry->config.family == fast);
    CHECK(result.points[0].entry->gen == current_generator(Op::forward, fast));
    std::set<Family> tried;
    for (const Attempt& attempt : tuning.journal().attempts) {
      tried.insert(attempt.config.family);
      CHECK(attempt.gen == current_generator(attempt.problem.op, attempt.config.family));
    }
    CHECK(tried.size() == 2);
    CHECK(tuning.run().points[0].status == PointStatus::resumed);
  }
  CHECK(current_generator(Op::forward, Family::sm80) != current_generator(Op::forward, Family::sm90));
}

TEST_CASE("a prediction ranks what was compiled, says so, and gives way to a measurement") {
  Tuning tuning;
  tuning.predict();
  test::ScriptedBench bench = tuning.make_emulator();
  const TuneResult result = tuning.run(bench);
  for (const PointResult& point : result.points) {
    CHECK(point.status == PointStatus::predicted);
    REQUIRE(point.entry);
    CHECK(point.entry->source == Source::predicted);
    CHECK(point.entry->verify == Verification{VerifyStatus::pass, "fp32", 0.001, DeviceKind::emulator});
    CHECK(point.entry->time.n == 0);
    CHECK(point.entry->resources.ctas_per_sm == 512 / threads_per_block(point.entry->config));  // by their 128 registers
    REQUIRE(point.entry->baseline);
    CHECK(point.entry->baseline->speedup >= 1);
    CHECK(point.roofline <= 1);
  }
  CHECK(tuning.run().points[0].status == PointStatus::resumed);

  tuning.options = test::small_tuning(tuning.folder.path(), true);
  CHECK(tuning.run().points[0].status == PointStatus::tuned);
  for (const Entry& entry : tuning.published()) CHECK(entry.source == Source::tuned);
}

TEST_CASE("a predicted winner runs on the emulated device once for all token counts, with few tokens") {
  Tuning tuning;
  tuning.predict();
  test::ScriptedBench bench = tuning.make_emulator();
  const TuneResult result = tuning.run(bench);
  std::set<KernelConfig> winners;
  for (const PointResult& point : result.points) winners.insert(point.entry->config);
  CHECK(bench.verifications.size() == winners.size());
  for (const auto& [config, times] : bench.verifications) CHECK(times == 1);
  for (const Workload& workload : bench.set_ups) CHECK(workload.tokens <= 3);
  CHECK(bench.set_ups.front().tokens == 1);
  CHECK(result.points[0].verified == 1);
  CHECK(tuning.warnings.empty());
  CHECK(tuning.published()[0].verify.device == DeviceKind::emulator);
}

TEST_CASE("a predicted winner that is wrong on the emulated device gives way to the next and is not tried again") {
  Tuning tuning;
  tuning.predict();
  const KernelConfig best = tuning.run().points[0].entry->config;
  tuning.wrong = {best};
  tuning.options.retune = true;
  const TuneResult second = tuning.run();
  for (const PointResult& point : second.points) {
    REQUIRE(point.entry);
    CHECK(point.entry->config != best);
    for (const Alternative& other : point.entry->alternatives) CHECK(other.config != best);
  }
  CHECK(second.points[0].failed == 1);
  CHECK(second.points[0].verified == 1);
  const Replay journal = tuning.journal();
  const auto failure = std::find_if(journal.attempts.begin(), journal.attempts.end(),
                                    [](const Attempt& attempt) { return attempt.status == AttemptStatus::wrong; });
  REQUIRE(failure != journal.attempts.end());
  CHECK(failure->config == best);
  REQUIRE(failure->verify);
  CHECK(failure->verify->device == DeviceKind::emulator);

  test::ScriptedBench third = tuning.make_emulator();
  tuning.run(third);
  CHECK(third.verifications.count(best) == 0);
}

TEST_CASE("predictions of which every candidate is wrong fail") {
  Tuning tuning;
  tuning.predict();
  test::ScriptedBench bench([](const KernelConfig&) { return Behaviour{.verify = AttemptStatus::fault}; });
  const TuneResult result = tuning.run(bench);
  CHECK(result.points[0].status == PointStatus::failed);
  CHECK(result.points[0].failed == result.points[0].compiled);
  CHECK(tuning.published().empty());
}

TEST_CASE("without a host compiler predictions are published unverified, with one warning that says what to install") {
  Tuning tuning;
  tuning.predict();
  test::ScriptedBench bench = tuning.make_emulator();
  bench.on_set_up = [](const Workload&) { throw NoEmulatedDevice("there is no C++ compiler. Install g++"); };
  const TuneResult result = tuning.run(bench);
  for (const PointResult& point : result.points) {
    CHECK(point.status == PointStatus::predicted);
    CHECK(point.entry->verify.status == VerifyStatus::not_run);
  }
  REQUIRE(tuning.warnings.size() == 1);
  CHECK_THAT(tuning.warnings[0], Catch::Contains("unverified") && Catch::Contains("Install g++"));
  CHECK(tuning.published().size() == 3);
}

TEST_CASE("a workload that the emulated device cannot hold stays unverified alone") {
  Tuning tuning;
  tuning.predict();
  test::ScriptedBench bench = tuning.make_emulator();
  bench.on_set_up = [](const Workload& workload) {
    if (workload.tokens == 1) throw EnvironmentError("no memory");
  };
  const TuneResult result = tuning.run(bench);
  REQUIRE(result.points[0].entry);
  CHECK(result.points[0].entry->verify.status == VerifyStatus::not_run);
  REQUIRE(tuning.warnings.size() == 1);
  CHECK_THAT(tuning.warnings[0], Catch::Contains("1 tokens") && Catch::Contains("unverified: no memory"));
  CHECK(result.points[1].entry->verify.status == VerifyStatus::pass);
  CHECK(result.points[2].entry->verify.status == VerifyStatus::pass);
}

TEST_CASE("the emulated device is set up once for the candidates and points that need the same tokens") {
  Tuning tuning;
  tuning.predict();
  tuning.options.tokens = {16, 256};
  const KernelConfig best = tuning.run().points[0].entry->config;
  tuning.wrong = {best};
  tuning.options.retune = true;
  test::ScriptedBench bench = tuning.make_emulator();
  tuning.run(bench);
  CHECK(bench.verifications.size() >= 2);
  CHECK(bench.set_ups.size() == 1);
}

TEST_CASE("a prediction whose time is up is published unverified, and says so") {
  Tuning tuning;
  tuning.predict();
  tuning.options.tokens = {16};
  tuning.options.time_budget = 0.5;
  test::ScriptedBench bench = tuning.make_emulator();
  bench.compile_time = std::chrono::milliseconds(40);
  const TuneResult result = tuning.run(bench);
  REQUIRE(result.points[0].status == PointStatus::predicted);
  CHECK(result.points[0].entry->verify.status == VerifyStatus::not_run);
  CHECK(bench.verifications.empty());
  REQUIRE(tuning.warnings.size() == 1);
  CHECK_THAT(tuning.warnings[0], Catch::Contains("time was up"));
}

TEST_CASE("a budget that is spent skips what is left") {
  Tuning tuning;
  tuning.options.time_budget = 1e-9;
  const TuneResult result = tuning.run();
  for (const PointResult& point : result.points) {
    CHECK(point.status == PointStatus::skipped);
    CHECK(point.message == "the time was up");
  }
}

TEST_CASE("a budget bounds compiling too, and every point gets its share") {
  Tuning tuning;
  tuning.options.strategy = Strategy::exhaustive;  // thousands, 2 ms each
  tuning.options.time_budget = 1.5;
  test::ScriptedBench bench = tuning.make_bench();
  bench.compile_time = std::chrono::milliseconds(2);
  const TuneResult result = tuning.run(bench);
  for (const PointResult& point : result.points) {
    CHECK(point.status == PointStatus::tuned);
    CHECK(point.compiled < point.space / 2);
  }
}

TEST_CASE("bisecting measures between neighbours that disagree") {
  Tuning tuning;
  tuning.options.tokens = {1, 64};
  tuning.options.bisect_tokens = true;
  // One family, whose stages are free to be chosen.
  tuning.options.target = named_target(find_device("a100"), "13.0");
  tuning.options.target.live = true;
  tuning.options.target.env.uuid = "GPU-1";
  // The best stage count depends on the token count that is set up.
  test::ScriptedBench* current = nullptr;
  test::ScriptedBench bench([&](const KernelConfig& config) {
    const int wanted = !current->set_ups.empty() && current->set_ups.back().tokens >= 20 ? 2 : 4;
    Behaviour behaviour;
    behaviour.us = 50 + 10 * std::abs(config.stages - wanted) + config.BLOCK_M * 0.1 + config.BLOCK_N * 0.01 + config.warps * 0.1;
    return behaviour;
  });
  current = &bench;
  const TuneResult result = tuning.run(bench);
  CHECK(tuning.tokens_started.size() > 2);
  CHECK(tuning.tokens_started[2] == 8);
  // The ranges still tile the axis.
  const std::vector<Entry> entries = tuning.published();
  REQUIRE(entries.size() == result.points.size());
  std::int64_t next = 1;
  for (const Entry& entry : entries) {
    CHECK(entry.tokens.lo == next);
    CHECK(entry.tokens.holds(entry.tokens.measured));
    next = entry.tokens.hi + 1;
  }
  CHECK(next == 129);
}

TEST_CASE("a database that cannot be published is said before anything runs") {
  Tuning tuning;
  const fs::path folder = tuning.folder.path();
  test::ScriptedBench bench = tuning.make_bench();
  SECTION("its folder is writable by others") {
    fs::permissions(folder, fs::perms::all);
    CHECK_THROWS_WITH(tuning.run(bench), Catch::Contains("writable by others") && Catch::Contains("chmod go-w"));
  }
  SECTION("its lock cannot be taken") {
    fs::create_directory(tuning.options.database.string() + ".lock");
    CHECK_THROWS_AS(tuning.run(bench), EnvironmentError);
  }
  SECTION("its folder is a file") {
    std::ofstream(folder / "file") << "x";
    tuning.options.database = folder / "file" / "db.json";
    CHECK_THROWS_AS(tuning.run(bench), EnvironmentError);
  }
  CHECK(bench.compiled.empty());
}

TEST_CASE("a run with nothing to decide needs no folder to publish in") {
  Tuning tuning;
  tuning.run();
  fs::permissions(tuning.folder.path(), fs::perms::all);
  for (const PointResult& point : tuning.run().points) CHECK(point.status == PointStatus::resumed);
}

TEST_CASE("a database that can no longer be written costs a warning, not the run") {
  Tuning tuning;
  const std::string lock = tuning.options.database.string() + ".lock";
  tuning.on_point_start = [&lock] {
    fs::remove(lock);
    fs::create_directory(lock);
  };
  const TuneResult result = tuning.run();
  CHECK(result.points[2].status == PointStatus::tuned);
  CHECK_FALSE(result.unpublished.empty());
  CHECK_FALSE(tuning.warnings.empty());
  CHECK(tuning.journal().completed.empty());

  fs::remove(lock);
  tuning.on_point_start = nullptr;
  CHECK(tuning.run().points[0].status == PointStatus::tuned);
  CHECK(tuning.published().size() == 3);
}

TEST_CASE("a refused plan is not run") {
  Tuning tuning;
  tuning.options.target.free_bytes = 1;
  CHECK_THROWS_AS(tuning.run(), UsageError);
}
