// The argument of a kernel of token rows (forward, dX) of the sm90 family; of dX x is dY, y is dX, and K and N change places.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"
#include "abi/tensor_map.cuh"

namespace moe_tune::abi {

/// Threads of a block of the dispatch kernel.
inline constexpr int dispatch_threads = 256;
/// Blocks of it that an SM holds.
inline constexpr int dispatch_blocks_per_sm = 2;

/// Rows that a word of RowsSm90Args::copied stands for.
inline constexpr int copied_piece_rows = 32;

/// Passed by value as one grid constant. All maps have the 128-byte swizzle and boxes of 64 elements along the innermost
/// dimension. With R the rows of a tile that a consumer warpgroup stores, the maps that are stored to describe every window of R
/// rows of a tensor by its end: (x, y, z) is row z - R + y, so that a box at y = R - rows, z = first + rows writes the rows
/// [first, first + rows) and is clipped behind them.
struct alignas(64) RowsSm90Args {
  GroupedGemmArgs gemm;
  unsigned* queue;   // a counter that is 0 between launches; unused with TileSource::static_order
  void* rows;        // (M, K): the rows in expert order that Gather::copy_ahead makes
  unsigned* copied;  // 1 + ceil(M / 32) words of Gather::copy_ahead, 0 before the launch (mainloop/row_copier.cuh)
  // {K, M}: x in expert order, or the rows that a dispatch or a copier makes; boxes of 32 rows, of 16 where BLOCK_M is no
  // multiple of 32.
  TensorMap x;
  // {K, N, E}; boxes of BLOCK_N rows, with fuse_swiglu BLOCK_N / 2. Of dX boxes of BLOCK_K rows, or one of BLOCK_N columns
  // (mainloop/side_boxes.cuh).
  TensorMap w;
  TensorMap y;  // {columns of y, R, M + R + 1}, both outer strides a row, based R rows before y; boxes of 32 rows, of 16 where R
                // is no multiple
  TensorMap gate;  // the same of the halves of pre_activation
  TensorMap up;
};

}  // namespace moe_tune::abi
