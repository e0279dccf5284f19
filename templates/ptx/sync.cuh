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

/// Arrives at barrier Id for the threads that wait in named_barrier<Id, Threads>(), without waiting: `Threads` counts both sides.
/// What this thread accessed before is ordered before what they access after. Called by whole warps. Trap: nothing stops a warp
/// from arriving a second time before the waiters of the first round have left, so a barrier in the other direction must.
template <int Id, int Threads>
MOE_DEVICE void named_barrier_arrive() {
  static_assert(0 < Id && Id < 16 && Threads % 32 == 0);
  asm volatile("barrier.arrive.aligned %0, %1;" ::"n"(Id), "n"(Threads) : "memory");
}

/// Brings the 32 lanes of a warp together and orders their shared and global accesses. All 32 lanes take part.
MOE_DEVICE void warp_barrier() { __syncwarp(); }

/// Bit l: what lane l passed. All 32 lanes take part. Orders no memory accesses.
MOE_DEVICE u32 warp_ballot(bool value) { return __ballot_sync(0xffffffffu, value); }

/// Whether some lane passed true. All 32 lanes take part. Orders no memory accesses.
MOE_DEVICE bool warp_any(bool value) { return __any_sync(0xffffffffu, value) != 0; }

/// The value of the lane `delta` below; lanes under `delta` keep their own. All 32 lanes take part.
MOE_DEVICE int shuffle_up(int value, u32 delta) { return __shfl_up_sync(0xffffffffu, value, delta); }

/// The value of lane `source`. All 32 lanes take part.
MOE_DEVICE int shuffle(int value, u32 source) { return __shfl_sync(0xffffffffu, value, static_cast<int>(source)); }

/// The value of the lane whose index differs in the bits of `mask`. All 32 lanes take part.
MOE_DEVICE float shuffle_xor(float value, u32 mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

}  // namespace moe_tune::ptx
