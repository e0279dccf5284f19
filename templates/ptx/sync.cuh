// Barriers and data exchange between the threads of a block or a warp.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// Block-wide barrier; orders the shared and global accesses of the block's threads.
MOE_DEVICE void block_barrier() { __syncthreads(); }

/// Barrier Id (1 to 15) among `Threads` threads, whole warps. It counts arrivals, so unlike block_barrier() warps may come to it
/// from different places of the code. Orders shared and global accesses like block_barrier().
template <int Id, int Threads>
MOE_DEVICE void named_barrier() {
  static_assert(0 < Id && Id < 16 && Threads % 32 == 0);
  asm volatile("barrier.sync.aligned %0, %1;" ::"n"(Id), "n"(Threads) : "memory");
}

/// The value of the lane `delta` below; lanes under `delta` keep their own. All 32 lanes take part.
MOE_DEVICE int shuffle_up(int value, u32 delta) { return __shfl_up_sync(0xffffffffu, value, delta); }

/// The value of lane `source`. All 32 lanes take part.
MOE_DEVICE int shuffle(int value, u32 source) { return __shfl_sync(0xffffffffu, value, static_cast<int>(source)); }

/// The value of the lane whose index differs in the bits of `mask`. All 32 lanes take part.
MOE_DEVICE float shuffle_xor(float value, u32 mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

}  // namespace moe_tune::ptx
