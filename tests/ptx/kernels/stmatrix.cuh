// stmatrix: fragments to rows of shared memory.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/stmatrix.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Fills 64 rows of 16 bytes with ones, has lane l address row (Stride * l + 7) % 64 and stores fragments; all rows go out. Lanes
/// whose address does not count give one that is none.
template <int Matrices, bool Transposed, int Stride>
MOE_DEVICE void store_fragments(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int lane = static_cast<int>(ptx::lane_index());
  for (int row = lane; row < 64; row += 32) ptx::store_shared(base + row * 16, Words4{{~0u, ~0u, ~0u, ~0u}});
  ptx::warp_barrier();
  u32 fragment[Matrices];
  for (int i = 0; i < Matrices; ++i) fragment[i] = ptx::load_constant(args.input + lane * Matrices + i);
  const u32 address = lane < Matrices * 8 ? base + (Stride * lane + 7) % 64 * 16 : ~0u;
  if constexpr (Matrices == 4) {
    if constexpr (Transposed) {
      ptx::stmatrix_x4_transposed(fragment, address);
    } else {
      ptx::stmatrix_x4(fragment, address);
    }
  } else {
    if constexpr (Transposed) {
      ptx::stmatrix_x2_transposed(fragment, address);
    } else {
      ptx::stmatrix_x2(fragment, address);
    }
  }
  ptx::warp_barrier();
  for (int row = lane; row < 64; row += 32) {
    ptx::store(static_cast<void*>(args.output + row * 4), ptx::load_shared_16(base + row * 16));
  }
}

}  // namespace moe_tune::micro
