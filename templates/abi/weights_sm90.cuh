// The argument of a dW kernel of the sm90 family.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"
#include "abi/tensor_map.cuh"

namespace moe_tune::abi {

/// Passed by value as one grid constant. All maps have the 128-byte swizzle and boxes of 64 elements along the innermost
/// dimension. x and y, both in expert order, are described as every window of BLOCK_K rows of them by its end: (column, j, z) is
/// row z - BLOCK_K + j, so that a box at j = BLOCK_K - rows, z = first + rows has the rows [first, first + rows) and zeros behind
/// them: what follows belongs to the next expert.
struct alignas(64) WeightsSm90Args {
  GroupedGemmArgs gemm;  // of which m_sizes, M and status
  unsigned* queue;       // as in RowsSm90Args
  TensorMap x;  // {K, BLOCK_K, M + BLOCK_K + 1}; boxes of BLOCK_K rows, or one of BLOCK_N columns (mainloop/side_boxes.cuh)
  TensorMap y;  // {N, BLOCK_K, M + BLOCK_K + 1}, of dY; boxes of BLOCK_K rows, or one of BLOCK_M columns
  // {K, N, E}, of dW; boxes of the rows of a tile that one consumer warpgroup stores, of float32 with half the columns.
  TensorMap w;
};

}  // namespace moe_tune::abi
