// The library as the verbs run it.
#pragma once

#include "moe_tune/grouped_gemm.hpp"
#include "tools/options.hpp"

namespace moe_tune::cli {

/// From the environment, with the database of --db where it is given. With MOE_TUNE_MODE=tune a tuner is plugged in whose workers
/// are this program; Ctrl-C then ends its measurement first (catch_interrupts()). Throws as LibraryOptions::from_environment().
LibraryOptions library_options(const DatabaseOptions& database);

}  // namespace moe_tune::cli
