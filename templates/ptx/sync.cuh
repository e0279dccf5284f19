// Barriers and data exchange between the threads of a block or a warp.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// Block-wide barrier; orders the shared and global accesses of the block's threads.
MOE_DEVICE void block_barrier() { __syncthreads(); }

/// The value of the lane `delta` below; lanes under `delta` keep their own. All 32 lanes take part.
MOE_DEVICE int shuffle_up(int value, u32 delta) { return __shfl_up_sync(0xffffffffu, value, delta); }

/// The value of lane `source`. All 32 lanes take part.
MOE_DEVICE int shuffle(int value, u32 source) { return __shfl_sync(0xffffffffu, value, static_cast<int>(source)); }

/// The value of the lane whose index differs in the bits of `mask`. All 32 lanes take part.
MOE_DEVICE float shuffle_xor(float value, u32 mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

}  // namespace moe_tune::ptx
