#include "runtime/tune/online_tuner.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "generator/support/log.hpp"
#include "moe_tune/error.hpp"
#include "runtime/tune/tokens.hpp"
#include "runtime/tune/tuner.hpp"

namespace moe_tune {

namespace {

struct Logger final : TuneObserver {
  void on_warning(const std::string& text) override { log_line(LogLevel::warn, text); }
};

}  // namespace

void tune_point(const WorkerTunerOptions& options, const Target& target, const Problem& problem, std::int64_t tokens,
                const std::filesystem::path& database, Bench& bench) {
  if (tokens < 1 || tokens > max_tuned_tokens) {
    throw UsageError(fmt::format("{} tokens cannot be tuned: the limits are 1 and {}", tokens, max_tuned_tokens));
  }
  TuneOptions run;
  run.target = target;
  run.problems = {problem};
  run.tokens = {static_cast<int>(tokens)};
  run.routing = options.routing;
  run.time_budget = options.time_budget;
  run.seed = options.workers.seed;
  run.jobs = options.workers.jobs;
  run.database = database;
  run.cancel = options.workers.cancel;
  TunePlan plan = make_plan(run);
  // A single point of a run would speak for everything below it.
  plan.points.front().range = {tokens, tokens / 2 + 1, tokens};
  Logger logger;
  const TuneResult result = moe_tune::tune(run, plan, bench, logger);
  if (result.cancelled) throw Cancelled();
  if (!result.unpublished.empty()) throw EnvironmentError(fmt::format("the database was not written: {}", result.unpublished));
  if (const PointResult& point = result.points.front(); !point.entry) throw EnvironmentError(point.message);
}

WorkerTuner::WorkerTuner(WorkerTunerOptions options) : options_(std::move(options)) {}

void WorkerTuner::tune(const Problem& problem, int device, std::int64_t tokens, const std::filesystem::path& database) {
  WorkerBenchOptions workers = options_.workers;
  workers.place = {.device = DeviceKind::gpu, .ordinal = device};
  std::string why;
  const auto target = query_target(workers, &why);
  if (!target) throw EnvironmentError(fmt::format("workers find no GPU: {}", why));
  WorkerBench bench(std::move(workers));
  tune_point(options_, *target, problem, tokens, database, bench);
}

}  // namespace moe_tune
