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

/// What --device calls the emulated device.
inline constexpr const char* emulator_name = "emulator";

/// What --device and --devices ask for: the described device that `name` names, or, when that is the GPU of this machine or
/// `name` is empty, the live GPU `ordinal`. Throws UsageError listing the names when `name` is empty and there is no GPU, and for
/// the emulated device, which has no speed.
Target find_target(const std::string& name, int ordinal);

/// The live GPU; unless `name` is empty it must be that one. Throws EnvironmentError saying that `verb` needs one and why there
/// is none, followed by `remedy`, or that it is another one; UsageError for the emulated device.
Target require_gpu(const std::string& verb, const std::string& name, int ordinal, const std::string& remedy = "");

}  // namespace moe_tune::cli
