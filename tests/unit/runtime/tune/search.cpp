#include "runtime/tune/search.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "tests/support/scripted_bench.hpp"
#include "tests/support/small_tuning.hpp"

using namespace moe_tune;
using test::Behaviour;

namespace {

/// Forty candidates; the first is the default.
std::vector<KernelConfig> forty() {
  std::vector<KernelConfig> configs;
  for (const int block_m : {16, 32, 64, 128, 256}) {
    for (int stages = 2; stages <= 5; ++stages) {
      for (int ctas = 1; ctas <= 2; ++ctas) {
        KernelConfig config;
        config.BLOCK_M = block_m;
        config.stages = stages;
        config.ctas_per_sm = ctas;
        configs.push_back(config);
      }
    }
  }
  return configs;
}

struct Trial {
  std::vector<KernelConfig> configs = forty();
  std::map<KernelConfig, Behaviour> behaviours;
  std::vector<SearchEvent> events;
  double min_gain = 0.01;
  bool with_default = true;
  bool out_of_time = false;

  Trial() {
    // Candidate i takes 100 + i microseconds; the default 100.
    for (std::size_t i = 0; i < configs.size(); ++i) behaviours[configs[i]].us = 100.0 + static_cast<double>(i);
  }
  Behaviour& operator[](std::size_t i) { return behaviours[configs[i]]; }

  SearchOutcome run() {
    test::ScriptedBench bench([this](const KernelConfig& config) { return behaviours.at(config); });
    SearchInput input;
    input.candidates = configs;
    if (with_default) input.default_config = configs[0];
    input.min_gain = min_gain;
    if (out_of_time) input.deadline = std::chrono::steady_clock::now();
    return search(bench, input, {[this](const SearchEvent& event) { events.push_back(event); }, {}, {}});
  }

  int count(std::size_t i, AttemptStatus status) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](const SearchEvent& event) {
      return event.config == configs[i] && event.status == status;
    }));
  }
};

}  // namespace

TEST_CASE("the fastest right candidate wins, with its gain over the default") {
  Trial trial;
  trial[29].us = 80;
  const SearchOutcome outcome = trial.run();
  REQUIRE(outcome.winner == trial.configs[29]);
  CHECK(outcome.stop == "separated");
  CHECK(outcome.verified == 40);
  CHECK(outcome.measured == 40);
  CHECK(outcome.failed == 0);
  CHECK(outcome.time.n >= 15);
  CHECK(outcome.time.sm_mhz == 1700);
  CHECK(outcome.time.ci95[0] <= outcome.time.median);
  CHECK(outcome.time.median <= outcome.time.ci95[1]);
  REQUIRE(outcome.baseline);
  CHECK(outcome.baseline->config == trial.configs[0]);
  CHECK(outcome.baseline->speedup == Approx(1.25).epsilon(0.01));
  CHECK(outcome.baseline->speedup_ci95[0] > 1.23);
  CHECK(outcome.verify.status == VerifyStatus::pass);
  CHECK(outcome.resident_blocks == 2);
  CHECK(outcome.common_rounds.size() == 40);
  CHECK(outcome.alternatives.size() == 3);  // two finalists and the default
  CHECK(std::is_sorted(outcome.alternatives.begin(), outcome.alternatives.end(),
                       [](const Alternative& a, const Alternative& b) { return a.median < b.median; }));
}

TEST_CASE("planted faults are told of and never win") {
  Trial trial;
  trial[29].us = 80;
  for (const std::size_t planted : {3u, 10u, 20u, 30u}) trial[planted].us = 10;  // faster than all
  trial[3].verify = AttemptStatus::wrong;
  trial[10].verify = AttemptStatus::crashed;
  trial[20].verify = AttemptStatus::hung;
  trial[30].time = AttemptStatus::hung;  // right once, then hangs
  trial[31].time = AttemptStatus::crashed;
  const SearchOutcome outcome = trial.run();
  CHECK(outcome.winner == trial.configs[29]);
  CHECK(outcome.failed == 5);
  CHECK(outcome.verified == 37);
  CHECK(outcome.measured == 35);
  CHECK(trial.count(3, AttemptStatus::wrong) == 1);
  CHECK(trial.count(10, AttemptStatus::crashed) == 1);
  CHECK(trial.count(20, AttemptStatus::hung) == 1);
  CHECK(trial.count(30, AttemptStatus::hung) == 1);
  CHECK(trial.count(31, AttemptStatus::crashed) == 1);
  CHECK(trial.count(30, AttemptStatus::timed) == 0);
}

TEST_CASE("a winner that is wrong the second time loses to the next") {
  Trial trial;
  trial[29].us = 80;
  trial[30].us = 70;
  trial[30].fails_verify_from = 2;
  const SearchOutcome outcome = trial.run();
  CHECK(outcome.winner == trial.configs[29]);
  CHECK(outcome.fastest == trial.configs[29]);
  CHECK(outcome.failed == 1);
  CHECK(trial.count(30, AttemptStatus::wrong) == 1);
}

TEST_CASE("the default stays unless the gain clears the minimum") {
  Trial trial;
  trial[29].us = 97;
  trial.min_gain = 0.05;
  SearchOutcome outcome = trial.run();
  CHECK(outcome.winner == trial.configs[0]);
  CHECK(outcome.fastest == trial.configs[29]);
  REQUIRE(outcome.baseline);
  CHECK(outcome.baseline->speedup == 1);
  CHECK(outcome.alternatives.front().config == trial.configs[29]);

  trial.min_gain = 0.01;
  CHECK(trial.run().winner == trial.configs[29]);
}

TEST_CASE("a gain within the noise does not count") {
  Trial trial;
  for (std::size_t i = 1; i < 40; ++i) trial[i].us = 100;
  trial.min_gain = 0;
  const SearchOutcome outcome = trial.run();
  // All are the same kernel: whatever is fastest by luck must not be called a gain of more than the noise.
  REQUIRE(outcome.baseline);
  CHECK(outcome.baseline->speedup < 1.005);
}

TEST_CASE("without a usable default the fastest wins and there is no gain to tell") {
  Trial trial;
  trial[0].verify = AttemptStatus::crashed;
  SearchOutcome outcome = trial.run();
  CHECK(outcome.winner == trial.configs[1]);
  CHECK_FALSE(outcome.baseline);

  Trial none;
  none.with_default = false;
  CHECK_FALSE(none.run().baseline);
}

TEST_CASE("the default alone wins against nobody") {
  Trial trial;
  for (std::size_t i = 1; i < 40; ++i) trial[i].verify = AttemptStatus::wrong;
  const SearchOutcome outcome = trial.run();
  CHECK(outcome.winner == trial.configs[0]);
  CHECK(outcome.time.n == 15);
  CHECK(outcome.alternatives.empty());
}

TEST_CASE("when nothing is right nothing wins") {
  Trial trial;
  for (std::size_t i = 0; i < 40; ++i) trial[i].verify = AttemptStatus::wrong;
  SearchOutcome outcome = trial.run();
  CHECK_FALSE(outcome.winner);
  CHECK(outcome.failed == 40);
  CHECK(outcome.stop == "none");

  Trial hanging;
  for (std::size_t i = 0; i < 40; ++i) hanging[i].time = AttemptStatus::hung;
  outcome = hanging.run();
  CHECK_FALSE(outcome.winner);
  CHECK(outcome.failed == 40);

  Trial racy;
  for (std::size_t i = 0; i < 40; ++i) racy[i].fails_verify_from = 2;
  CHECK_FALSE(racy.run().winner);
}

TEST_CASE("out of time it decides with the first that is right") {
  Trial trial;
  trial.out_of_time = true;
  const SearchOutcome outcome = trial.run();
  CHECK(outcome.winner == trial.configs[0]);
  CHECK(outcome.verified == 1);
}
