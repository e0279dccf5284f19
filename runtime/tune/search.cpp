#include "runtime/tune/search.hpp"

#include <algorithm>
#include <map>

#include "runtime/tune/statistics.hpp"

namespace moe_tune {
namespace {

constexpr int first_rung_rounds = 7;  // each later rung takes twice as many
constexpr std::size_t finalists = 3;  // besides the default
constexpr int decision_batch = 15;    // rounds between two looks at the intervals
constexpr int max_decision_rounds = 90;

using Samples = std::map<KernelConfig, std::vector<double>>;

class Search {
 public:
  Search(Bench& bench, const SearchInput& input, const SearchCallbacks& callbacks)
      : bench_(bench), input_(input), callbacks_(callbacks) {}

  SearchOutcome run() {
    verify_all();
    halve();
    decide();
    return std::move(outcome_);
  }

 private:
  bool out_of_time() const { return input_.deadline && std::chrono::steady_clock::now() >= *input_.deadline; }
  bool is_default(const KernelConfig& config) const { return config == input_.default_config; }

  void tell(SearchEvent event) {
    if (is_failure(event.status)) ++outcome_.failed;
    if (callbacks_.on_event) callbacks_.on_event(event);
  }

  bool verify(const KernelConfig& config) {
    const VerifyOutcome result = bench_.verify(config);
    tell({config, result.status, result.message, 0, result.verification, std::nullopt});
    if (result.status != AttemptStatus::verified) return false;
    verified_[config] = result;
    return true;
  }

  void verify_all() {
    int done = 0;
    for (const KernelConfig& config : input_.candidates) {
      if (out_of_time() && !alive_.empty()) break;
      if (verify(config)) {
        alive_.push_back(config);
        ++outcome_.verified;
      }
      if (callbacks_.on_verified) callbacks_.on_verified(++done, static_cast<int>(input_.candidates.size()));
    }
  }

  void drop(const KernelConfig& config) { std::erase(alive_, config); }

  /// Rounds of all that are alive. A candidate that ends the worker is dropped and the rounds start again without it: those of
  /// before are incomplete.
  Samples time(int rounds) {
    while (!alive_.empty()) {
      const TimeOutcome result = bench_.time(alive_, rounds);
      if (result.culprit >= 0) {
        const KernelConfig culprit = alive_[static_cast<std::size_t>(result.culprit)];
        tell({culprit, result.status, result.message, rung_, std::nullopt, std::nullopt});
        drop(culprit);
        continue;
      }
      rounds_ += rounds;
      if (callbacks_.on_rounds) callbacks_.on_rounds(rounds_, std::max(rounds_, max_rounds_));
      sm_mhz_ = result.timed.sm_mhz;
      discarded_ = result.timed.discarded;
      Samples samples;
      for (std::size_t i = 0; i < alive_.size(); ++i) {
        for (const std::vector<double>& round : result.timed.rounds) samples[alive_[i]].push_back(round[i]);
      }
      return samples;
    }
    return {};
  }

  Timing timing(const std::vector<double>& samples, int discarded) const {
    const Estimate estimate = estimate_median(samples);
    return {estimate.median, {estimate.ci95.lo, estimate.ci95.hi}, static_cast<int>(samples.size()), "cold", sm_mhz_, discarded};
  }

  void tell_time(const KernelConfig& config, const Samples& samples, int discarded) {
    tell({config, AttemptStatus::timed, "", rung_, std::nullopt, timing(samples.at(config), discarded)});
  }

  void keep_common_rounds(const Samples& samples) {
    if (!outcome_.common_rounds.empty()) return;
    outcome_.common_rounds.assign(samples.begin(), samples.end());
    outcome_.measured = static_cast<int>(samples.size());
  }

  std::size_t contenders() const {
    return static_cast<std::size_t>(
        std::count_if(alive_.begin(), alive_.end(), [&](const KernelConfig& config) { return !is_default(config); }));
  }

  void halve() {
    max_rounds_ = max_decision_rounds;
    std::size_t left = contenders();
    for (int rounds = first_rung_rounds; left > finalists; left = (left + 1) / 2, rounds *= 2) max_rounds_ += rounds;

    int rounds = first_rung_rounds;
    for (; contenders() > finalists; rounds *= 2, ++rung_) {
      const Samples samples = time(rounds);
      keep_common_rounds(samples);
      keep_fastest(samples, out_of_time() ? finalists : std::max(finalists, (contenders() + 1) / 2));
    }
  }

  /// Drops all but `count` of those that are alive, and tells how fast they were; the default does not count and stays.
  void keep_fastest(const Samples& samples, std::size_t count) {
    std::vector<std::pair<double, KernelConfig>> order;
    for (const auto& [config, values] : samples) {
      if (!is_default(config)) order.emplace_back(median(values), config);
    }
    std::sort(order.begin(), order.end());
    for (std::size_t i = count; i < order.size(); ++i) {
      tell_time(order[i].second, samples, discarded_);
      drop(order[i].second);
    }
  }

  static KernelConfig fastest(const Samples& samples) {
    return std::min_element(samples.begin(), samples.end(),
                            [](const auto& a, const auto& b) { return median(a.second) < median(b.second); })
        ->first;
  }

  /// Whether every other finalist is slower than the fastest one beyond doubt.
  static bool separated(const Samples& samples) {
    const KernelConfig best = fastest(samples);
    return std::all_of(samples.begin(), samples.end(), [&](const auto& other) {
      return other.first == best || estimate_ratio(other.second, samples.at(best)).ci95.lo > 1;
    });
  }

  /// The finalists are timed anew: the samples that selected them favour those that were lucky.
  void decide() {
    Samples samples;
    int discarded = 0;
    outcome_.stop = "none";
    for (int taken = 0; taken < max_decision_rounds && !alive_.empty(); taken += decision_batch) {
      const Samples batch = time(decision_batch);
      if (batch.empty()) break;
      discarded += discarded_;
      std::erase_if(samples, [&](const auto& entry) { return !batch.contains(entry.first); });
      for (const auto& [config, values] : batch) samples[config].insert(samples[config].end(), values.begin(), values.end());
      outcome_.stop = separated(samples) ? "separated" : out_of_time() ? "budget" : "tied";
      if (outcome_.stop != "tied") break;
    }
    if (samples.empty() || alive_.empty()) return;
    keep_common_rounds(samples);
    for (const auto& finalist : samples) tell_time(finalist.first, samples, discarded);
    choose(samples, discarded);
  }

  void choose(Samples samples, int discarded) {
    while (!samples.empty()) {
      const KernelConfig winner = beats_default(samples, fastest(samples)) ? fastest(samples) : *input_.default_config;
      // Once more: a kernel with a race may have been right the first time by luck.
      if (!verify(winner)) {
        samples.erase(winner);
        continue;
      }
      outcome_.fastest = fastest(samples);
      outcome_.winner = winner;
      outcome_.time = timing(samples.at(winner), discarded);
      outcome_.verify = verified_.at(winner).verification;
      outcome_.resident_blocks = verified_.at(winner).resident_blocks;
      describe_others(samples, winner);
      return;
    }
    outcome_.stop = "none";
  }

  bool beats_default(const Samples& samples, const KernelConfig& config) const {
    if (!input_.default_config || !samples.contains(*input_.default_config)) return true;
    return estimate_ratio(samples.at(*input_.default_config), samples.at(config)).ci95.lo > 1 + input_.min_gain;
  }

  void describe_others(const Samples& samples, const KernelConfig& winner) {
    if (input_.default_config && samples.contains(*input_.default_config)) {
      const std::vector<double>& baseline = samples.at(*input_.default_config);
      const Estimate speedup = estimate_ratio(baseline, samples.at(winner));
      outcome_.baseline = Baseline{*input_.default_config, median(baseline), speedup.median, {speedup.ci95.lo, speedup.ci95.hi}};
    }
    for (const auto& [config, values] : samples) {
      if (config != winner) outcome_.alternatives.push_back({config, median(values)});
    }
    std::sort(outcome_.alternatives.begin(), outcome_.alternatives.end(),
              [](const Alternative& a, const Alternative& b) { return a.median < b.median; });
  }

  Bench& bench_;
  const SearchInput& input_;
  const SearchCallbacks& callbacks_;
  SearchOutcome outcome_;
  std::vector<KernelConfig> alive_;
  std::map<KernelConfig, VerifyOutcome> verified_;
  int rung_ = 0;
  int rounds_ = 0;
  int max_rounds_ = 0;
  int sm_mhz_ = 0;
  int discarded_ = 0;
};

}  // namespace

SearchOutcome search(Bench& bench, const SearchInput& input, const SearchCallbacks& callbacks) {
  return Search(bench, input, callbacks).run();
}

}  // namespace moe_tune
