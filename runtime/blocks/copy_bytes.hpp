// Copies between the host and a device, or within one.
#pragma once

#include <cstddef>

namespace moe_tune {

/// Waits for the copy, and before it for what was enqueued on the default stream. Each address is of the host or of `device`:
/// with cpu_device both are of the host.
void copy_bytes(void* target, const void* source, std::size_t count, int device);

}  // namespace moe_tune
