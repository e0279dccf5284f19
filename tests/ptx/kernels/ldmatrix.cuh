// ldmatrix: rows from shared memory to fragments.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Puts 64 rows of 16 bytes into shared memory and has lane l address row (Stride * l + 7) % 64; the lane's words go out. Lanes
/// whose address does not count give one that is none.
template <int Matrices, bool Transposed, int Stride>
MOE_DEVICE void load_fragments(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int lane = static_cast<int>(ptx::lane_index());
  for (int row = lane; row < 64; row += 32) ptx::store_shared(base + row * 16, ptx::load_constant_16(args.input + row * 4));
  ptx::warp_barrier();
  const u32 address = lane < Matrices * 8 ? base + (Stride * lane + 7) % 64 * 16 : ~0u;
  u32 fragment[Matrices];
  if constexpr (Matrices == 4) {
    if constexpr (Transposed) {
      ptx::ldmatrix_x4_transposed(fragment, address);
    } else {
      ptx::ldmatrix_x4(fragment, address);
    }
  } else {
    if constexpr (Transposed) {
      ptx::ldmatrix_x2_transposed(fragment, address);
    } else {
      ptx::ldmatrix_x2(fragment, address);
    }
  }
  for (int i = 0; i < Matrices; ++i) ptx::store(args.output + lane * Matrices + i, fragment[i]);
}

}  // namespace moe_tune::micro
