// stmatrix: 8x8 matrices of 16-bit elements from the accumulator layout of mma.sync and wgmma to shared memory (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// Called by all 32 lanes of a warp. The stores are weak, of the generic proxy: before a TMA store reads them, every storing
// thread executes fence_async_shared() (ptx/fence.cuh), then a barrier with the thread that issues the store.

/// Four matrices. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes, 16-byte aligned) and holds, of each matrix,
/// the two elements of row l / 4 at columns 2 * (l % 4) and the next: the inverse of ldmatrix_x4().
MOE_DEVICE void stmatrix_x4(const u32 (&fragment)[4], u32 shared_address) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address), "r"(fragment[0]),
               "r"(fragment[1]), "r"(fragment[2]), "r"(fragment[3])
               : "memory");
}

/// Four matrices, each transposed: the lane holds column l / 4 at rows 2 * (l % 4) and the next.
MOE_DEVICE void stmatrix_x4_transposed(const u32 (&fragment)[4], u32 shared_address) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address), "r"(fragment[0]),
               "r"(fragment[1]), "r"(fragment[2]), "r"(fragment[3])
               : "memory");
}

/// Two matrices, whose rows lanes 0-15 address. The other lanes pass any address.
MOE_DEVICE void stmatrix_x2(const u32 (&fragment)[2], u32 shared_address) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(shared_address), "r"(fragment[0]),
               "r"(fragment[1])
               : "memory");
}

/// Two matrices, each transposed.
MOE_DEVICE void stmatrix_x2_transposed(const u32 (&fragment)[2], u32 shared_address) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(shared_address), "r"(fragment[0]),
               "r"(fragment[1])
               : "memory");
}

}  // namespace moe_tune::ptx
