#include "runtime/emulator/global_memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <utility>

#include "moe_tune/error.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::uint64_t alignment = 256;
constexpr std::uint64_t gap = 1 << 20;  // between allocations: what strays out of one should not land in the next

}  // namespace

GlobalMemory::~GlobalMemory() {
  for (auto& [address, allocation] : allocations_) {
    if (allocation.bytes > 0) munmap(allocation.data, allocation.bytes);
  }
}

Allocation& GlobalMemory::allocate(std::string name, std::size_t bytes, Use use) {
  void* data = nullptr;
  if (bytes > 0) {
    data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
      throw EnvironmentError(fmt::format("no host memory for the {} bytes of {} on the emulated device", bytes, name));
    }
  }
  Allocation allocation;
  allocation.name = std::move(name);
  allocation.use = use;
  allocation.address = next_;
  allocation.bytes = bytes;
  allocation.data = static_cast<std::byte*>(data);
  if (use == Use::read_write) allocation.shadow = Shadow(bytes);
  next_ += (bytes + gap + alignment - 1) / alignment * alignment;
  last_found_ = nullptr;
  return allocations_.emplace(allocation.address, std::move(allocation)).first->second;
}

Allocation* GlobalMemory::find(std::uint64_t address) {
  if (last_found_ != nullptr && address - last_found_->address < last_found_->bytes) return last_found_;
  auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return nullptr;
  return last_found_ = &std::prev(next)->second;
}

void GlobalMemory::start_launch() {
  for (auto& [address, allocation] : allocations_) {
    if (allocation.use == Use::read_write) allocation.shadow.clear(0, allocation.bytes);
  }
}

}  // namespace moe_tune::emulator
