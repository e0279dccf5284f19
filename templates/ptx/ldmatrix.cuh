// ldmatrix: 8x8 matrices of 16-bit elements from shared memory to the fragments of mma.sync (sm_75).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// Called by all 32 lanes of a warp. The loads are weak, of the generic proxy: what cp.async or another thread wrote is visible
// after a barrier, what TMA wrote after the wait at its mbarrier.

/// Four matrices. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes, 16-byte aligned) and gets, of each matrix,
/// the two elements of row l / 4 at columns 2 * (l % 4) and the next.
MOE_DEVICE void ldmatrix_x4(u32 (&fragment)[4], u32 shared_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address)
               : "memory");
}

/// Four matrices, each transposed: the lane gets, of each matrix, column l / 4 at rows 2 * (l % 4) and the next. Turns an operand
/// that is contiguous in M or N into the fragments of one that is contiguous in K.
MOE_DEVICE void ldmatrix_x4_transposed(u32 (&fragment)[4], u32 shared_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address)
               : "memory");
}

/// Two matrices, whose rows lanes 0-15 address. The other lanes pass any address.
MOE_DEVICE void ldmatrix_x2(u32 (&fragment)[2], u32 shared_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragment[0]), "=r"(fragment[1])
               : "r"(shared_address)
               : "memory");
}

/// Two matrices, each transposed.
MOE_DEVICE void ldmatrix_x2_transposed(u32 (&fragment)[2], u32 shared_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragment[0]), "=r"(fragment[1])
               : "r"(shared_address)
               : "memory");
}

}  // namespace moe_tune::ptx
