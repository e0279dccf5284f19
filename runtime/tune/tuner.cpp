#include "runtime/tune/tuner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <utility>

#include "generator/config_space.hpp"
#include "generator/support/date.hpp"
#include "moe_tune/error.hpp"
#include "runtime/tune/candidates.hpp"
#include "runtime/tune/history.hpp"
#include "runtime/tune/ranking.hpp"
#include "runtime/tune/recorder.hpp"
#include "runtime/tune/search.hpp"
#include "runtime/tune/tokens.hpp"
#include "tuning_db/store.hpp"

namespace moe_tune {
namespace {

using Clock = std::chrono::steady_clock;

/// Tokens of an emulated verification: K and N are the model's whatever the tokens are, so that few of them do.
constexpr int emulated_tokens = 3;
constexpr int smallest_batch = 16;  // of compilations between two looks at the clock

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Run {
 public:
  Run(const TuneOptions& options, const TunePlan& plan, Bench& bench, TuneObserver& observer)
      : options_(options), plan_(plan), bench_(bench), observer_(observer), history_(options), recorder_(options, observer) {}

  TuneResult run() {
    std::vector<PointPlan> points = plan_.points;
    seconds_planned_left_ = plan_.seconds;
    for (const Problem& problem : options_.problems) tune_problem(problem, points);
    recorder_.publish();
    result_.unpublished = recorder_.unpublished();
    result_.seconds = seconds_since(start_);
    return std::move(result_);
  }

 private:
  bool cancelled() const { return options_.cancel != nullptr && options_.cancel->load(); }
  double time_left() const { return options_.time_budget - seconds_since(start_); }
  bool out_of_time() const { return options_.time_budget > 0 && time_left() <= 0; }

  void tune_problem(const Problem& problem, const std::vector<PointPlan>& points) {
    space_ = config_space(problem, options_.target.device);
    compiled_.clear();
    emulated_.clear();
    set_up_tokens_ = 0;
    std::map<int, KernelConfig> winners;
    for (const PointPlan& point : points) {
      if (point.problem == problem) run_point(point, winners);
    }
    if (options_.bisect_tokens) bisect(problem, winners);
  }

  /// Measures between neighbours that disagree, until they are within a factor of two. Each new point takes the middle of its gap
  /// from their ranges.
  void bisect(const Problem& problem, std::map<int, KernelConfig>& winners) {
    for (auto left = winners.begin(); left != winners.end();) {
      const auto right = std::next(left);
      if (right == winners.end() || right->second == left->second || right->first <= 2 * left->first) {
        left = right;
        continue;
      }
      const int middle = geometric_middle(left->first, right->first);
      PointPlan point;
      point.problem = problem;
      point.tokens = middle;
      point.range = token_ranges(std::array{left->first, middle, right->first})[1];
      point.space = static_cast<int>(space_.size());
      ++extra_points_;
      if (!run_point(point, winners)) left = right;  // nothing is known in the middle: go on behind it
    }
  }

  /// Whether the point was decided.
  bool run_point(const PointPlan& point, std::map<int, KernelConfig>& winners) {
    const auto started = Clock::now();
    PointResult result;
    result.problem = point.problem;
    result.tokens = point.tokens;
    result.space = point.space;
    const int count = static_cast<int>(plan_.points.size()) + extra_points_;
    observer_.on_point_start(point, static_cast<int>(result_.points.size()), count, expected_seconds_left());
    decide_point(point, winners, result);
    if (result.entry) {
      winners[point.tokens] = result.entry->config;
      rate(result);
    }
    result.seconds = seconds_since(started);
    if (result.status == PointStatus::tuned || result.status == PointStatus::predicted) {
      seconds_planned_done_ += point.seconds;
      seconds_spent_ += result.seconds;
    }
    seconds_planned_left_ -= point.seconds;
    observer_.on_point_end(result);
    result_.points.push_back(result);
    return result.entry.has_value();
  }

  double expected_seconds_left() const {
    const double pace = seconds_planned_done_ > 0 ? seconds_spent_ / seconds_planned_done_ : 1;
    const double expected = std::max(0.0, seconds_planned_left_) * pace;
    return options_.time_budget > 0 ? std::min(expected, std::max(0.0, time_left())) : expected;
  }

  void decide_point(const PointPlan& point, const std::map<int, KernelConfig>& winners, PointResult& result) {
    if (!options_.retune) {
      if (auto entry = history_.decided(point.problem, point.tokens)) {
        result.entry = std::move(entry);
        result.status = PointStatus::resumed;
        return;
      }
    }
    if (cancelled() || out_of_time()) {
      result_.cancelled = result_.cancelled || cancelled();
      result.message = cancelled() ? "cancelled" : "the time was up";
      return;
    }
    try {
      search_point(point, winners, result);
    } catch (const Cancelled&) {
      result_.cancelled = true;
      result.status = PointStatus::skipped;
      result.message = "cancelled";
    } catch (const EnvironmentError& error) {
      result.status = PointStatus::failed;
      result.message = error.what();
    }
  }

  /// An even share of what is left of the budget; a point that needs less leaves more to the others.
  void share_time() {
    share_ = Clock::duration::zero();
    deadline_.reset();
    if (options_.time_budget == 0) return;
    const auto points_left =
        static_cast<double>(plan_.points.size()) + extra_points_ - static_cast<double>(result_.points.size());
    share_ = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time_left() / std::max(1.0, points_left)));
    deadline_ = Clock::now() + share_;
  }

  void search_point(const PointPlan& point, const std::map<int, KernelConfig>& winners, PointResult& result) {
    share_time();
    const RoutedRows rows = route(options_.routing, point.tokens, point.problem.E, point.problem.top_k);
    std::vector<KernelConfig> neighbours;
    for (const auto& [tokens, config] : winners) neighbours.push_back(config);
    const Candidates candidates =
        choose_candidates(options_, point.problem, point.tokens, rows.m_sizes, space_, neighbours, history_);
    const auto compiled = compile(point, candidates.configs, result);

    Entry entry;
    entry.problem = point.problem;
    entry.env = options_.target.env;
    entry.tokens = point.range;
    entry.routing = routing_record(options_.routing, rows);
    const bool decided = compiled.empty()
                             ? false
                             : (options_.target.live ? measure(point, candidates, compiled, entry, result)
                                                     : predict_best(point, rows, candidates, compiled, entry, result));
    if (!decided) {
      result.status = PointStatus::failed;
      result.message = failure_message(result);
      return;
    }
    entry.gen = generators_.of(point.problem, entry.config);
    entry.search.space = point.space;
    entry.search.pruned = point.space - static_cast<int>(candidates.configs.size());
    entry.search.compiled = result.compiled;
    entry.search.failed = result.failed;
    entry.date = utc_now();
    recorder_.decide(entry);
    result.status = options_.target.live ? PointStatus::tuned : PointStatus::predicted;
    result.entry = std::move(entry);
  }

  std::string failure_message(const PointResult& result) const {
    return fmt::format("none of the candidates is usable ({} compiled, {} failed){}{}", result.compiled, result.failed,
                       first_failure_.empty() ? "" : "; the first failure: ", first_failure_);
  }

  Attempt attempt_of(const PointPlan& point, const KernelConfig& config, AttemptStatus status, std::string message) {
    Attempt attempt;
    attempt.problem = point.problem;
    attempt.env = options_.target.env;
    attempt.gen = generators_.of(point.problem, config);
    attempt.tokens = point.tokens;
    attempt.config = config;
    attempt.status = status;
    attempt.message = std::move(message);
    attempt.date = utc_now();
    return attempt;
  }

  void record(Attempt attempt) {
    if (is_failure(attempt.status)) {
      history_.add_failure(attempt);
      if (first_failure_.empty()) first_failure_ = attempt.message;
    }
    recorder_.attempt(attempt);
  }

  using Compiled = std::vector<std::pair<KernelConfig, Resources>>;

  /// Those of `configs` that compile without spilling; each is compiled once for all token counts.
  Compiled compile(const PointPlan& point, const std::vector<KernelConfig>& configs, PointResult& result) {
    first_failure_.clear();
    std::vector<KernelConfig> missing;
    for (const KernelConfig& config : configs) {
      if (!compiled_.contains(config)) missing.push_back(config);
    }
    // In batches, the most promising first: out of time, what is compiled is what there is. Half of the share is for measuring.
    const auto batch = static_cast<std::size_t>(std::max(smallest_batch, 4 * options_.jobs));
    int done = 0;
    for (std::size_t begin = 0; begin < missing.size(); begin += batch) {
      if (deadline_ && !compiled_.empty() && Clock::now() >= *deadline_ - share_ / 2) break;
      const std::span<const KernelConfig> part(missing.data() + begin, std::min(batch, missing.size() - begin));
      bench_.compile(point.problem, part, options_.target.device, [&](std::size_t i, const CompileOutcome& outcome) {
        Attempt attempt = attempt_of(point, part[i], outcome.status, outcome.message);
        if (outcome.resources.regs > 0) attempt.resources = outcome.resources;
        if (is_failure(outcome.status)) {
          ++result.failed;
        } else {
          compiled_[part[i]] = outcome.resources;
        }
        record(std::move(attempt));
        observer_.on_progress(Stage::compile, ++done, static_cast<int>(missing.size()));
      });
    }
    Compiled compiled;
    for (const KernelConfig& config : configs) {
      const auto found = compiled_.find(config);
      if (found != compiled_.end()) compiled.emplace_back(config, found->second);
    }
    result.compiled = static_cast<int>(compiled.size());
    return compiled;
  }

  bool measure(const PointPlan& point, const Candidates& candidates, const Compiled& compiled, Entry& entry,
               PointResult& result) {
    SearchInput input;
    input.workload = {point.problem, point.tokens, options_.routing, options_.seed};
    for (const auto& [config, resources] : compiled) input.candidates.push_back(config);
    const bool has_default =
        compiled_.contains(candidates.default_config) && input.candidates.front() == candidates.default_config;
    if (has_default) input.default_config = candidates.default_config;
    input.min_gain = options_.min_gain;
    input.deadline = deadline_;
    bench_.set_up(input.workload);
    const SearchCallbacks callbacks{[&](const SearchEvent& event) {
                                      Attempt attempt = attempt_of(point, event.config, event.status, event.message);
                                      attempt.rung = event.rung;
                                      attempt.verify = event.verify;
                                      attempt.time = event.time;
                                      record(std::move(attempt));
                                      if (is_failure(event.status)) compiled_.erase(event.config);
                                    },
                                    [&](int done, int total) { observer_.on_progress(Stage::verify, done, total); },
                                    [&](int done, int total) { observer_.on_progress(Stage::time, done, total); }};
    SearchOutcome outcome = search(bench_, input, callbacks);
    result.verified = outcome.verified;
    result.measured = outcome.measured;
    result.failed += outcome.failed;
    if (!outcome.winner) return false;

    entry.config = *outcome.winner;
    entry.time = outcome.time;
    entry.baseline = outcome.baseline;
    entry.alternatives = std::move(outcome.alternatives);
    entry.resources = compiled_.at(entry.config);
    entry.resources.ctas_per_sm = outcome.resident_blocks;
    entry.verify = outcome.verify;
    entry.search.stop = outcome.stop;
    entry.source = Source::tuned;
    result.model = judge_model(candidates.ranking, outcome.common_rounds, *outcome.fastest);
    return true;
  }

  /// The best by the model of those that the emulated device does not find wrong.
  bool predict_best(const PointPlan& point, const RoutedRows& rows, const Candidates& candidates, const Compiled& compiled,
                    Entry& entry, PointResult& result) {
    auto predicted = predict_compiled(entry.problem, compiled, rows.m_sizes, options_.target.device);
    while (!predicted.empty()) {
      const PredictedConfig& winner = best_predicted(predicted, candidates.default_config);
      if (const auto verification = emulate(point, winner.config, result)) {
        entry.verify = *verification;
        describe_prediction(predicted, candidates.default_config, winner, entry);
        return true;
      }
      std::erase_if(predicted, [failed = winner.config](const PredictedConfig& other) { return other.config == failed; });
    }
    return false;
  }

  /// The fastest, unless the default is as fast but for the minimal gain.
  const PredictedConfig& best_predicted(std::span<const PredictedConfig> predicted, const KernelConfig& default_config) const {
    const PredictedConfig& fastest = predicted.front();
    const PredictedConfig* baseline = find_predicted(predicted, default_config);
    const double enough = fastest.prediction.total * (1 + options_.min_gain);
    return baseline != nullptr && baseline->prediction.total <= enough ? *baseline : fastest;
  }

  static const PredictedConfig* find_predicted(std::span<const PredictedConfig> predicted, const KernelConfig& config) {
    const auto found = std::find_if(predicted.begin(), predicted.end(),
                                    [&](const PredictedConfig& candidate) { return candidate.config == config; });
    return found == predicted.end() ? nullptr : &*found;
  }

  /// Runs a config on the emulated device, once for all token counts; nothing when it is wrong there. Where there is no emulated
  /// device, or no time for it, the verification says that it was not run.
  std::optional<Verification> emulate(const PointPlan& point, const KernelConfig& config, PointResult& result) {
    if (const auto found = emulated_.find(config); found != emulated_.end()) return found->second;
    if (!emulates_) return Verification{};
    if (deadline_ && Clock::now() >= *deadline_) return unverified(point, "its time was up");
    observer_.on_progress(Stage::verify, 0, 1);
    VerifyOutcome outcome;
    try {
      set_up_emulated(point);
      outcome = bench_.verify(config);
    } catch (const NoEmulatedDevice& error) {
      emulates_ = false;
      observer_.on_warning(fmt::format("predictions stay unverified: {}", error.what()));
      return Verification{};
    } catch (const EnvironmentError& error) {
      return unverified(point, error.what());
    }
    Attempt attempt = attempt_of(point, config, outcome.status, outcome.message);
    attempt.verify = outcome.verification;
    record(std::move(attempt));
    if (outcome.status != AttemptStatus::verified) {
      ++result.failed;
      compiled_.erase(config);
      return std::nullopt;
    }
    ++result.verified;
    return emulated_[config] = outcome.verification;
  }

  /// Says why a prediction is published as it is.
  Verification unverified(const PointPlan& point, std::string_view why) {
    observer_.on_warning(
        fmt::format("the prediction for {}, {} tokens, stays unverified: {}", describe(point.problem), point.tokens, why));
    return {};
  }

  /// Most points need the same few tokens, which need not be set up again.
  void set_up_emulated(const PointPlan& point) {
    const int tokens = std::min(point.tokens, emulated_tokens);
    if (tokens == set_up_tokens_) return;
    set_up_tokens_ = 0;
    bench_.set_up({point.problem, tokens, options_.routing, options_.seed});
    set_up_tokens_ = tokens;
  }

  static void describe_prediction(std::span<const PredictedConfig> predicted, const KernelConfig& default_config,
                                  const PredictedConfig& winner, Entry& entry) {
    constexpr std::size_t alternatives = 3;
    if (const PredictedConfig* baseline = find_predicted(predicted, default_config)) {
      const double speedup = baseline->prediction.total / winner.prediction.total;
      entry.baseline = Baseline{baseline->config, baseline->prediction.total, speedup, {speedup, speedup}};
    }
    entry.config = winner.config;
    entry.time.median = winner.prediction.total;
    entry.time.ci95 = {winner.prediction.total, winner.prediction.total};
    entry.resources = winner.resources;
    for (const PredictedConfig& other : predicted) {
      if (&other != &winner && entry.alternatives.size() < alternatives) {
        entry.alternatives.push_back({other.config, other.prediction.total});
      }
    }
    entry.search.stop = "predicted";
    entry.source = Source::predicted;
  }

  void rate(PointResult& result) const {
    const Entry& entry = *result.entry;
    const RoutedRows rows = route(options_.routing, result.tokens, result.problem.E, result.problem.top_k);
    const double us = entry.time.median;
    result.kept_default = entry.baseline && entry.baseline->config == entry.config;
    if (us <= 0) return;
    result.tflops = flops(result.problem, rows.m_sizes) / us * 1e-6;
    result.gb_per_s = minimum_bytes(result.problem, rows.m_sizes) / us * 1e-3;
    result.roofline = roofline_us(result.problem, rows.m_sizes, options_.target.device) / us;
  }

  const TuneOptions& options_;
  const TunePlan& plan_;
  Bench& bench_;
  TuneObserver& observer_;
  History history_;
  Recorder recorder_;
  Generators generators_;
  TuneResult result_;
  Clock::time_point start_ = Clock::now();
  std::vector<KernelConfig> space_;                ///< of the problem at hand
  std::map<KernelConfig, Resources> compiled_;     ///< of the problem at hand, failures left out
  std::map<KernelConfig, Verification> emulated_;  ///< configs of the problem at hand that were right
  bool emulates_ = true;                           ///< until the emulated device turns out not to work here
  int set_up_tokens_ = 0;                          ///< of the problem at hand, on the emulated device; 0: none
  std::string first_failure_;                      ///< at the point at hand
  Clock::duration share_{};                        ///< of the time budget, for the point at hand
  std::optional<Clock::time_point> deadline_;      ///< of the point at hand; none without a budget
  int extra_points_ = 0;                           ///< that bisecting added
  double seconds_planned_left_ = 0, seconds_planned_done_ = 0, seconds_spent_ = 0;
};

constexpr std::array<std::string_view, 5> point_status_names = {"tuned", "predicted", "resumed", "failed", "skipped"};
constexpr std::array<std::string_view, 3> stage_names = {"compile", "verify", "time"};

}  // namespace

std::string_view to_string(PointStatus status) { return point_status_names[static_cast<std::size_t>(status)]; }

std::string_view to_string(Stage stage) { return stage_names[static_cast<std::size_t>(stage)]; }

TuneResult tune(const TuneOptions& options, const TunePlan& plan, Bench& bench, TuneObserver& observer) {
  if (!plan.refusals.empty()) throw UsageError(fmt::format("this run does not fit: {}", fmt::join(plan.refusals, "; ")));
  const bool decides = std::any_of(plan.points.begin(), plan.points.end(), [](const PointPlan& point) { return !point.done; });
  if (decides) Store(options.database).ensure_publishable();
  return Run(options, plan, bench, observer).run();
}

}  // namespace moe_tune
