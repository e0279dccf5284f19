// A real worker whose emitter plants faults for the emulated device: those of configs with tile_order n_fastest, by their
// stages, blocks per SM and BLOCK_K.
#include <new>
#include <stdexcept>
#include <string>

#include "generator/emit.hpp"
#include "runtime/tune/worker.hpp"

namespace {

using moe_tune::KernelConfig;

/// What the kernel does instead of running.
std::string planted_body(const KernelConfig& config) {
  const std::string ptx = "moe_tune::ptx::";
  if (config.ctas_per_sm == 2) {  // all threads write one word
    return ptx + "store_shared(" + ptx + "shared_base(), static_cast<int>(" + ptx + "thread_index()));";
  }
  switch (config.stages) {
    case 2:
      return "";  // at once, and wrong
    case 3:
      return "for (volatile int i = 0; args.M > 0; i = i) {}";  // never calls the device again
    case 4:
      return "*reinterpret_cast<volatile int*>(16) = 1;";  // past the device
    default:
      return "if (" + ptx + "thread_index() < 32) " + ptx + "named_barrier<1, 64>();";  // the other half never comes
  }
}

std::string emit(const moe_tune::Problem& problem, const KernelConfig& config) {
  std::string source = moe_tune::emit_kernel(problem, config);
  if (config.tile_order == moe_tune::TileOrder::m_fastest) return source;
  if (config.BLOCK_K == 32) return source + "this is no C++";
  if (config.BLOCK_K == 128) throw std::bad_alloc();
  const std::string call = "Kernel::run(args);";
  const std::size_t at = source.rfind(call);
  if (at == std::string::npos) throw std::logic_error("the emitted kernel has no call to replace");
  return source.replace(at, call.size(), planted_body(config));
}

}  // namespace

int main() { return moe_tune::run_worker(moe_tune::worker_fd, {emit}); }
