// Everything that decides what a tuning run does.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "generator/routing.hpp"
#include "moe_tune/problem.hpp"
#include "runtime/tune/target.hpp"

namespace moe_tune {

/// Which configs of the space become candidates. The default config, the winners at smaller token counts and the database's seeds
/// always do.
enum class Strategy {
  model,       ///< those that the analytic model ranks best, and a few random ones that measure how often it errs
  exhaustive,  ///< all
  random,      ///< as many as `model` takes, drawn blindly
};

std::string_view to_string(Strategy strategy);
/// Throws UsageError listing the allowed spellings.
Strategy parse_strategy(std::string_view text);

struct TuneOptions {
  Target target;
  std::vector<Problem> problems;
  std::vector<int> tokens;  ///< ascending
  RoutingSpec routing;
  Strategy strategy = Strategy::model;
  int model_best = 24;         ///< candidates from the model when measuring
  int predicted_best = 64;     ///< candidates from the model when predicting; a space of at most 4 times that is compiled whole
  int random = 4;              ///< blind candidates beside the model's
  double min_gain = 0.01;      ///< the default stays unless the gain's lower confidence bound is above this
  double time_budget = 0;      ///< seconds for the whole run; 0: no limit
  bool bisect_tokens = false;  ///< measure between neighbours whose winners differ, until they are within 2x
  bool retune = false;         ///< also what the journal says is done
  std::uint64_t seed = 1;      ///< data, random candidates, order of launches
  int jobs = 1;                ///< parallel compilations
  std::filesystem::path database;             ///< published to; the journal is beside it
  const std::atomic<bool>* cancel = nullptr;  ///< set by a signal handler; not owned; may be null
};

}  // namespace moe_tune
