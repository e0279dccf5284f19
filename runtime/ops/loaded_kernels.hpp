// Kernels that are compiled and loaded by the first call that needs them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "runtime/jit/driver.hpp"
#include "runtime/ops/library_state.hpp"

namespace moe_tune {

/// Of one operation on one device. Thread-safe.
template <class Kernels>
class LoadedKernels {
 public:
  explicit LoadedKernels(const DeviceState& device) : device_(device) {}
  ~LoadedKernels() {
    // Modules unload in their context.
    const CurrentContext current(device_.context());
    owned_.reset();
  }
  LoadedKernels(const LoadedKernels&) = delete;
  LoadedKernels& operator=(const LoadedKernels&) = delete;

  /// make() returns them as a std::unique_ptr, in the device's context, which is current in this thread.
  template <class Make>
  const Kernels& get(const Make& make) {
    if (const Kernels* loaded = ready_.load(std::memory_order_acquire)) return *loaded;
    const std::lock_guard lock(loading_);
    if (!owned_) {
      owned_ = make();
      ready_.store(owned_.get(), std::memory_order_release);
    }
    return *owned_;
  }

 private:
  const DeviceState& device_;
  std::mutex loading_;
  std::unique_ptr<const Kernels> owned_;
  std::atomic<const Kernels*> ready_ = nullptr;
};

}  // namespace moe_tune
