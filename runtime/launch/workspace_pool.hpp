// Workspace that calls take and give back in stream order.
#pragma once

#include <cuda.h>

#include <cstddef>

namespace moe_tune {

/// A memory pool of the driver on one device, which keeps what it once got: calls that need no more than before, on streams that
/// had as much, get it without asking the system. Thread-safe.
class WorkspacePool {
 public:
  /// No pool where the device supports none.
  explicit WorkspacePool(CUdevice device);
  ~WorkspacePool();
  WorkspacePool(const WorkspacePool&) = delete;
  WorkspacePool& operator=(const WorkspacePool&) = delete;

  CUmemoryPool get() const { return pool_; }

  /// Makes the pool hold at least `bytes`. The current context is the device's; not while this thread captures.
  void reserve(std::size_t bytes) const;

 private:
  CUmemoryPool pool_ = nullptr;
};

/// `bytes` bytes in the order of `stream`, which its destructor gives back there; while the stream is captured they are the
/// graph's. 0 bytes: null. Throws EnvironmentError when there is not enough memory, and where the device supports no pools.
class PooledWorkspace {
 public:
  PooledWorkspace(const WorkspacePool& pool, std::size_t bytes, CUstream stream);
  ~PooledWorkspace();
  PooledWorkspace(const PooledWorkspace&) = delete;
  PooledWorkspace& operator=(const PooledWorkspace&) = delete;

  void* get() const { return reinterpret_cast<void*>(address_); }

 private:
  CUdeviceptr address_ = 0;
  CUstream stream_;
};

}  // namespace moe_tune
