// Memory of a device that runs kernels, with poison around what they may touch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace moe_tune::test {

/// The emulated device or a GPU: its memory.
class TestDevice {
 public:
  virtual ~TestDevice() = default;
  /// Memory for the life of the device, 256-byte aligned.
  virtual void* allocate(const char* name, std::size_t bytes, bool written) = 0;
  virtual void upload(void* address, std::span<const std::byte> bytes) = 0;
  virtual void download(const void* address, std::span<std::byte> bytes) = 0;
};

/// Memory on both sides, with poison around it.
class GuardedBuffer {
 public:
  GuardedBuffer(TestDevice& device, const char* name, std::span<const std::byte> content, bool written)
      : device_(device), content_(content.size() + 2 * guard, poison) {
    std::copy(content.begin(), content.end(), content_.begin() + guard);
    address_ = device.allocate(name, content_.size(), written);
    restore();
  }

  /// Of the content on the device, and as it was uploaded.
  void* address() const { return static_cast<char*>(address_) + guard; }
  void* host() { return content_.data() + guard; }
  void restore() { device_.upload(address_, content_); }
  std::vector<std::byte> download() const {
    std::vector<std::byte> result(content_.size());
    device_.download(address_, result);
    return result;
  }
  /// What is on the device but for the elements that `judged` says are someone else's to judge is what was uploaded.
  template <class T, class Judged>
  bool untouched(const std::vector<std::byte>& now, const Judged& judged) const {
    const std::size_t count = (content_.size() - 2 * guard) / sizeof(T);
    for (std::size_t i = 0; i < count; ++i) {
      if (!judged(i) && std::memcmp(&now[guard + i * sizeof(T)], &content_[guard + i * sizeof(T)], sizeof(T)) != 0) return false;
    }
    const std::size_t end = guard + count * sizeof(T);
    return std::equal(now.begin(), now.begin() + guard, content_.begin()) &&
           std::equal(now.begin() + static_cast<std::ptrdiff_t>(end), now.end(),
                      content_.begin() + static_cast<std::ptrdiff_t>(end));
  }
  /// Element i of what download() gave.
  template <class T>
  static const T* at(const std::vector<std::byte>& now, std::size_t i) {
    return reinterpret_cast<const T*>(now.data() + guard) + i;
  }

  static constexpr std::byte poison{0xff};

 private:
  static constexpr std::size_t guard = 1024;

  TestDevice& device_;
  std::vector<std::byte> content_;
  void* address_ = nullptr;
};

}  // namespace moe_tune::test
