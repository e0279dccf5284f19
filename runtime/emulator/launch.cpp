#include "runtime/emulator/launch.hpp"

#include <memory>
#include <utility>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

void run_grid(GlobalMemory& memory, const Launch& launch, const Kernel& kernel, const std::function<void()>& thread) {
  if (launch.blocks == 0) return;
  auto run = std::make_unique<GridRun>(memory, launch, thread);
  const Kernel::Running running(kernel, *run);
  const auto first_to_go = std::move(run);  // its fibers unwind through the kernel
  first_to_go->run();
}

}  // namespace moe_tune::emulator
