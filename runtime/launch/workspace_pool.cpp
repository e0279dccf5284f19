#include "runtime/launch/workspace_pool.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/device_memory.hpp"

namespace moe_tune {

WorkspacePool::WorkspacePool(CUdevice device) {
  int supported = 0;
  driver().cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, device);
  if (supported == 0) return;
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  driver().cuMemPoolCreate(&pool_, &properties);
  std::uint64_t keep_all = UINT64_MAX;
  driver().cuMemPoolSetAttribute(pool_, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep_all);
  // A call shall not wait for another stream's: it gets memory of its own instead.
  int never = 0;
  driver().cuMemPoolSetAttribute(pool_, CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES, &never);
}

// At the end of the process the driver may be gone already.
WorkspacePool::~WorkspacePool() {
  if (pool_ != nullptr) static_cast<void>(driver().cuMemPoolDestroy.result(pool_));
}

void WorkspacePool::reserve(std::size_t bytes) const {
  if (bytes == 0 || pool_ == nullptr) return;
  const Stream stream;
  { const PooledWorkspace workspace(*this, bytes, stream.get()); }
  stream.synchronize();
}

PooledWorkspace::PooledWorkspace(const WorkspacePool& pool, std::size_t bytes, CUstream stream) : stream_(stream) {
  if (bytes == 0) return;
  if (pool.get() == nullptr) {
    throw EnvironmentError(fmt::format(
        "this GPU has no memory pools: give the call its {} bytes of workspace, or a config with gather = in_kernel", bytes));
  }
  const CUresult result = driver().cuMemAllocFromPoolAsync.result(&address_, bytes, pool.get(), stream);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    throw EnvironmentError(
        fmt::format("the GPU has no room for {} bytes of workspace: use fewer tokens, free memory, or give a "
                    "config with gather = in_kernel",
                    bytes));
  }
  if (result != CUDA_SUCCESS) throw_cuda_error(result, "cuMemAllocFromPoolAsync");
}

// What fails here has failed before, in the launch; the error is that one's.
PooledWorkspace::~PooledWorkspace() {
  if (address_ != 0) static_cast<void>(driver().cuMemFreeAsync.result(address_, stream_));
}

}  // namespace moe_tune
