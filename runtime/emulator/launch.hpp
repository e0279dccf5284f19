// Running a kernel on the emulated device.
#pragma once

#include <cstdint>
#include <functional>

#include "runtime/emulator/fault.hpp"
#include "runtime/emulator/global_memory.hpp"
#include "runtime/emulator/kernel.hpp"

namespace moe_tune::emulator {

struct Launch {
  unsigned blocks = 1;
  unsigned threads = 32;      ///< of a block, a multiple of 32
  unsigned shared_bytes = 0;  ///< dynamic shared memory of a block
  unsigned cluster = 1;       ///< blocks of a cluster
  std::uint64_t seed = 0;     ///< decides everything that the hardware leaves open (grid_run.hpp); the same seed, the same run
  unsigned most_resident_threads = 2048;   ///< blocks beyond start when others have ended; a cluster always fits
  std::uint64_t most_steps = 300'000'000;  ///< turns of the scheduler, before a kernel counts as hanging; one that never waits
                                           ///< takes them in calls of the device
};

/// Runs `kernel` on every thread of the grid. Throws UsageError for a launch that no device takes, KernelFault when the kernel
/// does something wrong or cannot go on.
void run_grid(GlobalMemory& memory, const Launch& launch, const Kernel& kernel, const std::function<void()>& thread);

/// Runs the entry point `name` with its arguments; Args are exactly the kernel's parameter types, as for a launch on a GPU.
template <class... Args>
void run(GlobalMemory& memory, const Launch& launch, const Kernel& kernel, const char* name, const Args&... args) {
  const auto entry = reinterpret_cast<void (*)(Args...)>(kernel.function(name));
  run_grid(memory, launch, kernel, [&] { entry(args...); });
}

}  // namespace moe_tune::emulator
