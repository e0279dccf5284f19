// redux.sync: a reduction over the lanes of a warp in one instruction (sm_80).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// The largest of what the lanes passed. All 32 lanes take part. Orders no memory accesses.
MOE_DEVICE u32 warp_max(u32 value) { return __reduce_max_sync(0xffffffffu, value); }

}  // namespace moe_tune::ptx
