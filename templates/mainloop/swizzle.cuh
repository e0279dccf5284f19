// Where a 16-byte chunk of a [rows][Width] operand tile lies in shared memory, so that neither the copies nor ldmatrix meet
// bank conflicts.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Rows are packed without padding; inside every 128 bytes the eight chunks are permuted by XOR with a key made of the row's
// bits. The key is linear over XOR, so key(a + b) = key(a) ^ key(b) for rows that share no bit: addresses of the unrolled loops
// differ by compile-time constants.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune {

/// Which eight rows an ldmatrix reads together, and so must lie in eight different bank groups.
enum class RowPattern {
  consecutive,  // rows r .. r + 7
  spread,       // rows {0, 1, 8, 9, 16, 17, 24, 25} + 2 j: see mainloop/sm80_multistage.cuh
};

template <int Width, RowPattern Pattern>
struct Swizzle {
  static_assert(Width == 32 || Width == 64 || Width == 128, "rows have 32, 64 or 128 elements");
  static constexpr int row_bytes = Width * 2;

  /// The XOR that `row` applies to the byte offset: bits 4 to 6 (bits 4 and 5 where two rows share 128 bytes).
  static MOE_DEVICE constexpr u32 key(u32 row) {
    if constexpr (Pattern == RowPattern::consecutive) {
      return (Width == 32 ? (row >> 1) & 3u : row & 7u) << 4;
    } else {
      return (Width == 32 ? (row >> 3) & 3u : ((row >> 3) & 3u) << 1 | (row & 1u)) << 4;
    }
  }

  static MOE_DEVICE constexpr u32 offset(u32 row, u32 chunk) { return (row * row_bytes + chunk * 16) ^ key(row); }
};

}  // namespace moe_tune
