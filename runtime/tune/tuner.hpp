// The tuning run: for every (problem, token count) the best config, measured or predicted, published as it is found.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tune/bench.hpp"
#include "runtime/tune/options.hpp"
#include "runtime/tune/plan.hpp"
#include "tuning_db/journal.hpp"

namespace moe_tune {

/// How well the model's order agrees with the measured one at a point. Percent are over the measured best.
struct ModelQuality {
  int rank_of_best = 0;          ///< place of the measured best in the model's order of the whole space, from 1
  double first_loss = 0;         ///< how much slower the model's first choice is, percent
  double best_of_five_loss = 0;  ///< the same for the best of its first five
};

enum class PointStatus {
  tuned,      ///< measured and published
  predicted,  ///< ranked by the model, found right on the emulated device unless there is none, and published
  resumed,    ///< taken from the database: an earlier run decided it
  failed,     ///< no candidate was right, or the workload could not be set up
  skipped,    ///< cancelled or out of time before it was decided
};

std::string_view to_string(PointStatus status);

struct PointResult {
  Problem problem;
  int tokens = 1;
  PointStatus status = PointStatus::skipped;
  std::optional<Entry> entry;  ///< unless failed or skipped: config, timing, default and gain, resources, verification
  bool kept_default = false;   ///< the chosen config is the default one
  double tflops = 0;           ///< of the rows
  double gb_per_s = 0;         ///< of the bytes that must move
  double roofline = 0;         ///< share of the roofline, 0 to 1
  int space = 0, compiled = 0, verified = 0, measured = 0, failed = 0;  ///< candidates
  std::optional<ModelQuality> model;
  double seconds = 0;
  std::string message;  ///< why it failed or was skipped
};

struct TuneResult {
  std::vector<PointResult> points;
  bool cancelled = false;
  std::string unpublished;  ///< why the database could not be written; empty: every decision is in it
  double seconds = 0;
};

/// What a point is busy with.
enum class Stage { compile, verify, time };
std::string_view to_string(Stage stage);

/// Told how a run goes; every method does nothing unless overridden. Called in the thread of tune().
class TuneObserver {
 public:
  virtual ~TuneObserver() = default;
  /// `index` counts from 0; `seconds_left` is expected for the rest of the run, this point included.
  virtual void on_point_start(const PointPlan&, int /*index*/, int /*count*/, double /*seconds_left*/) {}
  /// `done` of `total` candidates, or rounds while timing.
  virtual void on_progress(Stage, int /*done*/, int /*total*/) {}
  virtual void on_attempt(const Attempt&) {}
  virtual void on_point_end(const PointResult&) {}
  virtual void on_warning(const std::string&) {}
};

/// Runs `plan`. Every attempt is journalled and every decided point published at once, so that a run that is killed resumes where
/// it was. Candidates that crash, hang, spill or are wrong are never picked and never tried again with the same generator and
/// compiler. A journal or database that can no longer be written costs a warning and TuneResult::unpublished, not the run; a
/// workload that cannot be set up on a GPU costs its point. Without a live target `bench` has the emulated device to verify on;
/// where that does not work (no host compiler), one warning says so and predictions are published unverified, as one is, with a
/// warning, whose workload cannot be set up there or whose time is up. Throws UsageError when the plan was refused or the
/// database is no database, EnvironmentError when the journal or the database cannot be read, or, before anything is run, when
/// decisions could not be published (Store::ensure_publishable).
TuneResult tune(const TuneOptions& options, const TunePlan& plan, Bench& bench, TuneObserver& observer);

}  // namespace moe_tune
