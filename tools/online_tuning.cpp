#include "tools/online_tuning.hpp"

#include <memory>
#include <utility>

#include "runtime/tune/online_tuner.hpp"
#include "tools/interrupt.hpp"
#include "tools/machine.hpp"

namespace moe_tune::cli {

namespace {

constexpr double seconds_per_measurement = 120;  // most take a tenth of it

}  // namespace

LibraryOptions library_options(const DatabaseOptions& database) {
  LibraryOptions options = LibraryOptions::from_environment();
  if (!database.path.empty()) options.databases = database.paths();
  if (!options.tune) return options;
  WorkerTunerOptions tuner;
  tuner.workers = own_workers();
  tuner.workers.cancel = &catch_interrupts();
  tuner.time_budget = seconds_per_measurement;
  options.tuner = std::make_shared<WorkerTuner>(std::move(tuner));
  return options;
}

}  // namespace moe_tune::cli
