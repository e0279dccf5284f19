// The memory of the GPU, for tests that also run on the emulated device.
#pragma once

#include <deque>

#include "runtime/launch/device_memory.hpp"
#include "tests/support/guarded_buffer.hpp"

namespace moe_tune::test {

/// Keeps to the default stream.
class GpuDevice : public virtual TestDevice {
 public:
  void* allocate(const char* name, std::size_t bytes, bool written) override;
  void upload(void* address, std::span<const std::byte> bytes) override;
  void download(const void* address, std::span<std::byte> bytes) override;

 private:
  std::deque<DeviceBuffer> buffers_;
};

}  // namespace moe_tune::test
