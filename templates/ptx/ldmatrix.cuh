// ldmatrix: 8x8 matrices of 16-bit elements from shared memory to the fragments of mma.sync (sm_75).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// Four matrices. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes, 16-byte aligned) and gets, of each matrix,
/// the two elements of row l / 4 at columns 2 * (l % 4) and the next.
MOE_DEVICE void ldmatrix_x4(u32 (&fragment)[4], u32 shared_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address)
               : "memory");
}

}  // namespace moe_tune::ptx
