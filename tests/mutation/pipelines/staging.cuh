// From accumulators to a box in shared memory that a TMA store takes: the epilogue of the study's pipelines that store by TMA.
// archs: sm_90a
#pragma once

#include "matrix_tile.cuh"
#include "ptx/stmatrix.cuh"

namespace moe_tune::study {

inline constexpr u32 staging_bytes = tile_rows * tile_columns * 2;

/// Writes a warpgroup's tile as 64 rows of 128 bytes with the 128-byte swizzle; `staging` is 1024-byte aligned.
MOE_DEVICE void stage_tile(const float (&acc)[32], u32 staging) {
  const u32 lane = ptx::lane_index();
  // stmatrix takes four 8x8 matrices: rows 0-7 and 8-15 of the warp, at 8 columns and the next 8.
  const u32 row = ptx::thread_index() / 32 % 4 * 16 + lane % 8 + (lane / 8 & 1u) * 8;
  MOE_UNROLL
  for (int j = 0; j < tile_columns / 8; j += 2) {
    const u32 chunk = static_cast<u32>(j) + lane / 16;
    const u32 words[4] = {
        ptx::pack<DType::bf16>(acc[4 * j], acc[4 * j + 1]), ptx::pack<DType::bf16>(acc[4 * j + 2], acc[4 * j + 3]),
        ptx::pack<DType::bf16>(acc[4 * j + 4], acc[4 * j + 5]), ptx::pack<DType::bf16>(acc[4 * j + 6], acc[4 * j + 7])};
    ptx::stmatrix_x4(words, staging + row * 128 + ((chunk ^ (row & 7u)) << 4));
  }
}

}  // namespace moe_tune::study
