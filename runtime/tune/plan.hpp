// What a tuning run will do, before it starts: work, memory, time, and whether it fits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/tune/options.hpp"

namespace moe_tune {

/// One (problem, token count).
struct PointPlan {
  Problem problem;
  int tokens = 1;
  TokenRange range;
  bool done = false;              ///< decided by an earlier run: will be taken from the database
  int space = 0;                  ///< configs in the space
  int compile = 0;                ///< candidates to compile, at most
  int measure = 0;                ///< candidates to verify and time, at most; 0 when predicting
  std::int64_t device_bytes = 0;  ///< buffers; 0 when predicting
  double seconds = 0;             ///< expected
};

struct TunePlan {
  std::vector<PointPlan> points;        ///< by problem, then by token count
  std::int64_t device_bytes = 0;        ///< of the largest point, the CUDA context included; 0 when predicting
  std::int64_t device_available = 0;    ///< Target::free_bytes
  std::int64_t layer_weight_bytes = 0;  ///< expert weights of all problems together: what a layer keeps on the device
  std::int64_t host_bytes = 0;          ///< workers and host buffers
  std::int64_t host_available = 0;
  double seconds = 0;                 ///< expected
  std::vector<std::string> refusals;  ///< why the run cannot be, with the numbers; empty: it fits

  int compile() const;  ///< sum over the points
  int measure() const;
};

/// Throws UsageError for options that make no sense (no problem, no tokens, top_k > E). Reads the journal and the database to see
/// what is done already.
TunePlan make_plan(const TuneOptions& options);

/// MemAvailable of /proc/meminfo in bytes; 0 where it cannot be read.
std::int64_t available_host_bytes();

}  // namespace moe_tune
