#include "runtime/emulator/launch.hpp"

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

void run_grid(GlobalMemory& memory, const Launch& launch, const Kernel& kernel, const std::function<void()>& thread) {
  if (launch.blocks == 0) return;
  GridRun run(memory, launch, thread);
  const Kernel::Running running(kernel, run);
  run.run();
}

}  // namespace moe_tune::emulator
