// Tuning on demand as an interface: an application that wants it plugs a tuner in, and one that does not carries none.
#pragma once

#include <cstdint>
#include <filesystem>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// Measures what a library in tune mode has no measurement of.
class OnlineTuner {
 public:
  virtual ~OnlineTuner() = default;
  /// Measures the configs of `problem` near `tokens` on the device and publishes the winner to `database`; throws when it cannot.
  /// One call at a time. What else the device does meanwhile disturbs the measurement.
  virtual void tune(const Problem& problem, int device, std::int64_t tokens, const std::filesystem::path& database) = 0;
};

}  // namespace moe_tune
