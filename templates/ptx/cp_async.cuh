// cp.async: 16-byte copies from global to shared memory that bypass registers and L1 (sm_80).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// Copies 16 bytes from the generic address global_address + Offset; with `valid` false reads nothing, whatever the address, and
/// writes zeros. Both addresses are 16-byte aligned. Offset, a signed 24-bit constant, costs no instruction.
/// There is no form with an L2 policy: what ptxas 13.0 makes of one for sm_90a is an illegal instruction to an H200.
template <int Offset>
MOE_DEVICE void cp_async_16(u32 shared_address, u64 global_address, bool valid) {
  static_assert(-(1 << 23) <= Offset && Offset < (1 << 23));
  const u32 source_bytes = valid ? 16u : 0u;
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1 + %3], 16, %2;" ::"r"(shared_address), "l"(global_address),
               "r"(source_bytes), "n"(Offset)
               : "memory");
}

/// Closes the group of copies that this thread has issued since the last commit.
MOE_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most `Pending` of this thread's groups are unfinished. Other threads see the data after a barrier.
template <int Pending>
MOE_DEVICE void cp_async_wait() {
  static_assert(Pending >= 0);
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/// Arrives once at an mbarrier as soon as all copies that this thread has issued so far are done, and does not wait. The
/// barrier's count must include this arrival: one per calling thread. Copies are generic-proxy writes: before wgmma or a TMA
/// store reads what they wrote, the reader waits at the mbarrier and executes fence_async_shared() (ptx/fence.cuh).
MOE_DEVICE void cp_async_mbarrier_arrive_noinc(u32 mbarrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(mbarrier) : "memory");
}

}  // namespace moe_tune::ptx
