// The search at one point: verify every candidate, time them in rungs that each keep the better half, decide on fresh samples.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/tune/bench.hpp"

namespace moe_tune {

struct SearchInput {
  Workload workload;
  std::vector<KernelConfig> candidates;        ///< compiled
  std::optional<KernelConfig> default_config;  ///< one of the candidates, unless it did not compile
  double min_gain = 0.01;
  std::optional<std::chrono::steady_clock::time_point> deadline;  ///< then the best so far is taken
};

/// One thing that became known of one candidate.
struct SearchEvent {
  KernelConfig config;
  AttemptStatus status = AttemptStatus::verified;
  std::string message;
  int rung = 0;
  std::optional<Verification> verify;
  std::optional<Timing> time;
};

struct SearchOutcome {
  std::optional<KernelConfig> winner;     ///< nothing when no candidate is right
  Timing time;                            ///< of the winner, from the deciding rounds alone
  std::optional<Baseline> baseline;       ///< unless the default failed
  std::vector<Alternative> alternatives;  ///< other finalists, fastest first
  Verification verify;                    ///< of the winner
  int resident_blocks = 0;                ///< of the winner
  std::string stop;  ///< "separated", "tied" (the most rounds did not separate them), "budget", "none" (no candidate is right)
  int verified = 0, measured = 0, failed = 0;

  /// Samples of every measured candidate in the rounds that they all took part in: what the model is judged by.
  std::vector<std::pair<KernelConfig, std::vector<double>>> common_rounds;
  /// The fastest finalist, whether or not it cleared the gain.
  std::optional<KernelConfig> fastest;
};

struct SearchCallbacks {
  std::function<void(const SearchEvent&)> on_event;
  std::function<void(int done, int total)> on_verified;
  std::function<void(int rounds, int total)> on_rounds;  ///< total is the most there can be
};

/// The workload must be set up on `bench`. A candidate that is wrong, crashes or hangs is told of and dropped. Throws what the
/// bench throws.
SearchOutcome search(Bench& bench, const SearchInput& input, const SearchCallbacks& callbacks);

}  // namespace moe_tune
