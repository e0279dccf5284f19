// The machine that the program runs on, as the verbs see it.
#pragma once

#include <atomic>
#include <string>

#include "runtime/tune/target.hpp"
#include "runtime/tune/worker_bench.hpp"

namespace moe_tune::cli {

/// Workers that are this executable, run as `moe-tune worker`.
WorkerBenchOptions own_workers();

/// Parallel compilations when --jobs does not say: one per processor that this process may use.
int default_jobs();

/// What --device and --devices ask for: the described device that `name` names, or, when that is the GPU of this machine or
/// `name` is empty, the live GPU `ordinal`. Throws UsageError listing the names when `name` is empty and there is no GPU.
Target find_target(const std::string& name, int ordinal);

/// The live GPU. Throws EnvironmentError saying that `verb` needs one, and why there is none.
Target require_gpu(const std::string& verb, int ordinal);

}  // namespace moe_tune::cli
