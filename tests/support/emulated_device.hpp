// The memory of an emulated device, for tests that also run on a GPU.
#pragma once

#include <algorithm>

#include "runtime/emulator/global_memory.hpp"
#include "tests/support/guarded_buffer.hpp"

namespace moe_tune::test {

class EmulatedDevice : public virtual TestDevice {
 public:
  void* allocate(const char* name, std::size_t bytes, bool written) override {
    return memory_.allocate(name, bytes, written ? emulator::Use::read_write : emulator::Use::read_only).get();
  }
  void upload(void* address, std::span<const std::byte> bytes) override {
    std::copy(bytes.begin(), bytes.end(), data_of(address));
  }
  void download(const void* address, std::span<std::byte> bytes) override {
    std::copy_n(data_of(address), bytes.size(), bytes.begin());
  }

 protected:
  emulator::GlobalMemory& memory() { return memory_; }

 private:
  std::byte* data_of(const void* address) { return memory_.find(reinterpret_cast<std::uint64_t>(address))->data; }

  emulator::GlobalMemory memory_;
};

}  // namespace moe_tune::test
