// The two exception types of the library.
#pragma once

#include <stdexcept>
#include <string>

#include "moe_tune/export.hpp"

namespace moe_tune {

/// What the caller did wrong: a bad shape, flag, file or option. The message says what, where, and what to do.
class MOE_TUNE_API UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What the machine refused: driver, NVRTC, file system, a worker process. The message names the call or the path.
class MOE_TUNE_API EnvironmentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace moe_tune
