// A real worker whose emitter plants faulty kernels: those of configs with tile_order n_fastest, which fault by their stages.
#include <stdexcept>
#include <string>

#include "generator/emit.hpp"
#include "runtime/tune/worker.hpp"

namespace {

using moe_tune::KernelConfig;

/// What the kernel does instead of running.
std::string planted_body(const KernelConfig& config) {
  switch (config.stages) {
    case 2:
      return "";  // at once, and wrong
    case 3:
      return "while (args.M > 0) asm volatile(\"nanosleep.u32 1000;\");";
    case 4:
      return "*reinterpret_cast<volatile int*>(16) = 1;";
    default:
      return "if (blockIdx.x != 0) Kernel::run(args);";  // a few tiles are missing
  }
}

std::string emit(const moe_tune::Problem& problem, const KernelConfig& config) {
  std::string source = moe_tune::emit_kernel(problem, config);
  if (config.tile_order == moe_tune::TileOrder::m_fastest) return source;
  const std::string call = "Kernel::run(args);";
  const std::size_t at = source.rfind(call);
  if (at == std::string::npos) throw std::logic_error("the emitted kernel has no call to replace");
  return source.replace(at, call.size(), planted_body(config));
}

}  // namespace

int main() { return moe_tune::run_worker(moe_tune::worker_fd, {emit}); }
