#include "runtime/blocks/copy_bytes.hpp"

#include <cstring>

#include "moe_tune/owned_tensor.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

void copy_bytes(void* target, const void* source, std::size_t count, int device) {
  if (count == 0) return;
  if (device == cpu_device) {
    std::memcpy(target, source, count);
    return;
  }
  const PrimaryContext context(device);
  const CurrentContext current(context.get());
  // Addresses are unique in the process: the driver finds out where they are.
  driver().cuMemcpy(reinterpret_cast<CUdeviceptr>(target), reinterpret_cast<CUdeviceptr>(source), count);
  // A copy within a device may still be on its way.
  driver().cuStreamSynchronize(CU_STREAM_LEGACY);
}

}  // namespace moe_tune
