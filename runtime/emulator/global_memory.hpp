// The memory of an emulated device. Its addresses are no addresses of the host: a kernel that follows one without going through
// ptx/ stops at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>

#include "runtime/emulator/shadow.hpp"

namespace moe_tune::emulator {

enum class Use {
  read_only,   ///< a kernel that writes to it is at fault
  read_write,  ///< races between threads are looked for
};

/// One allocation. Host code reads and writes `data` between launches.
struct Allocation {
  std::string name;  ///< in reports
  Use use = Use::read_only;
  std::uint64_t address = 0;  ///< of its first byte on the device, 256-byte aligned
  std::size_t bytes = 0;
  std::byte* data = nullptr;
  Shadow shadow;  ///< empty for read_only

  /// What a kernel gets.
  void* get() const { return reinterpret_cast<void*>(address); }
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data), bytes / sizeof(T)};
  }
};

class GlobalMemory {
 public:
  /// Where device addresses begin: no address of the host, and above every one that a kernel may treat as special.
  static constexpr std::uint64_t first_address = 0x01f0'0000'0000'0000;

  GlobalMemory() = default;
  ~GlobalMemory();
  GlobalMemory(const GlobalMemory&) = delete;
  GlobalMemory& operator=(const GlobalMemory&) = delete;

  /// `bytes` zero bytes; memory that is not touched costs nothing. The reference stays valid as long as this object. Throws
  /// EnvironmentError when the host has not enough memory.
  Allocation& allocate(std::string name, std::size_t bytes, Use use);

  /// An allocation that holds `values`.
  template <class T>
  Allocation& upload(std::string name, std::span<const T> values, Use use = Use::read_only) {
    Allocation& allocation = allocate(std::move(name), values.size_bytes(), use);
    if (!values.empty()) std::memcpy(allocation.data, values.data(), values.size_bytes());
    return allocation;
  }

  /// The allocation at or before an address; null when there is none.
  Allocation* find(std::uint64_t address);

  /// Forgets the accesses of earlier launches: a launch is ordered after them.
  void start_launch();

 private:
  std::map<std::uint64_t, Allocation> allocations_;
  std::uint64_t next_ = first_address;
  Allocation* last_found_ = nullptr;
};

}  // namespace moe_tune::emulator
