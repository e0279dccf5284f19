// elect.sync: one lane of a warp, chosen by the hardware (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// True for one lane, the same one at every call. All 32 lanes take part. Against lane_index() == 0 the compiler learns that one
/// lane only runs the branch, and issues TMA and wgmma without a loop over the lanes. Trap: warp_barrier() before the next
/// instruction that wants the whole warp.
MOE_DEVICE bool elect_one() {
  u32 elected;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "elect.sync _|p, 0xffffffff;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(elected)
      :
      : "memory");
  return elected != 0;
}

}  // namespace moe_tune::ptx
