// The argument of a forward kernel of the sm90 family.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"
#include "abi/tensor_map.cuh"

namespace moe_tune::abi {

/// Threads of a block of the dispatch kernel.
inline constexpr int dispatch_threads = 256;

/// Passed by value as one grid constant. All maps have the 128-byte swizzle and boxes of 64 elements along the innermost
/// dimension. With R the rows of a tile that a consumer warpgroup stores, the maps that are stored to describe every window of R
/// rows of a tensor by its end: (x, y, z) is row z - R + y, so that a box at y = R - rows, z = first + rows writes the rows
/// [first, first + rows) and is clipped behind them.
struct alignas(64) ForwardSm90Args {
  GroupedGemmArgs gemm;
  unsigned* queue;  // a counter that is 0 between launches; unused with TileSource::static_order
  TensorMap
      x;  // {K, M}: x in expert order, or the workspace of a dispatch; boxes of 32 rows, or 16 where BLOCK_M is no multiple of 32
  TensorMap w;  // {K, N, E}; boxes of BLOCK_N rows, with fuse_swiglu BLOCK_N / 2
  TensorMap y;  // {columns of y, R, M + R + 1}, both outer strides a row, based R rows before y; boxes of rows as of x, of R
  TensorMap pre_activation;  // the same of pre_activation
};

}  // namespace moe_tune::abi
