// setmaxnreg: registers move from the warpgroups that load to those that multiply (sm_90a).
// archs: sm_90a
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// Called by all warps of a warpgroup. Counts are registers per thread; over the block's warpgroups 128 * Count must add up to at
// most 65536. Ignored by the compiler, which only warns, unless the kernel has MOE_KERNEL(threads, 1) and neither printf nor
// assert.

/// Waits until the block's pool has enough registers that others gave up; what they hold is undefined. Count is not below the
/// current number.
template <int Count>
MOE_DEVICE void increase_registers() {
  static_assert(24 <= Count && Count <= 256 && Count % 8 == 0);
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count) : "memory");
}

/// Gives registers above Count up. Count is not above the current number, and the code that follows must do with it.
template <int Count>
MOE_DEVICE void decrease_registers() {
  static_assert(24 <= Count && Count <= 256 && Count % 8 == 0);
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count) : "memory");
}

}  // namespace moe_tune::ptx
