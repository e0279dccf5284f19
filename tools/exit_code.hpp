// What the program returns to the shell; README.md documents it.
#pragma once

namespace moe_tune::cli {

enum ExitCode : int {
  exit_ok = 0,
  exit_failed = 1,       ///< the command ran and its answer is bad, e.g. a kernel that differs from the reference
  exit_usage = 2,        ///< bad flags, files or shapes
  exit_environment = 3,  ///< driver, NVRTC, file system, workers
  exit_interrupted = 130,
};

}  // namespace moe_tune::cli
