// Tuning on demand with workers: what an application plugs into a library in tune mode.
#pragma once

#include <cstdint>
#include <filesystem>

#include "generator/routing.hpp"
#include "moe_tune/online_tuner.hpp"
#include "runtime/tune/bench.hpp"
#include "runtime/tune/target.hpp"
#include "runtime/tune/worker_bench.hpp"

namespace moe_tune {

struct WorkerTunerOptions {
  /// How workers are run (of an application: the path of moe-tune, and "worker"), how many compile, the seed, what cancels. The
  /// place is the device of each call.
  WorkerBenchOptions workers;
  RoutingSpec routing;
  double time_budget = 0;  ///< seconds for one call; 0: no limit
};

/// Measures one token count as a tuning run does, journalled beside the database. The entry speaks for the token counts from past
/// half of it up to it: those that share the default. Throws what made it fail: UsageError for what does not fit the device's
/// free memory, Cancelled, EnvironmentError for everything else.
void tune_point(const WorkerTunerOptions& options, const Target& target, const Problem& problem, std::int64_t tokens,
                const std::filesystem::path& database, Bench& bench);

/// Workers live as long as a call, so that they hold no device memory between two.
class WorkerTuner final : public OnlineTuner {
 public:
  explicit WorkerTuner(WorkerTunerOptions options);
  void tune(const Problem& problem, int device, std::int64_t tokens, const std::filesystem::path& database) override;

 private:
  WorkerTunerOptions options_;
};

}  // namespace moe_tune
