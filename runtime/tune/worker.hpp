// The worker: a process that compiles, verifies and times for the tuner, so that what goes wrong there ends there.
#pragma once

#include "runtime/tune/emit_function.hpp"

namespace moe_tune {

/// The descriptor on which a worker is given its end of the socket to the parent.
inline constexpr int worker_fd = 3;

struct WorkerHooks {
  EmitFunction emit;  ///< empty: emit_kernel
};

/// Serves requests (docs/TUNING.md, "Workers") from `fd` until the parent closes it; the process's exit code: 0, or 2 when `fd`
/// is no socket. Whoever makes an executable a worker calls this and nothing else: main(argc, argv) { return
/// run_worker(worker_fd); }
int run_worker(int fd, const WorkerHooks& hooks = {});

}  // namespace moe_tune
