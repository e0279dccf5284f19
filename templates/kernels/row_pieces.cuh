// How the warps of a grid share rows: a piece of a row for each in turn, so that few rows keep many warps busy.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/row_operations.cuh"
#include "ptx/base.cuh"

namespace moe_tune {

/// Calls work(row, column) for the pieces of `Columns` columns of `rows` rows that are this lane's warp's, `column` being the
/// first of the lane's 8 in its piece; it may lie past the row's end.
template <int Columns, class Work>
MOE_DEVICE void for_each_piece(int rows, int columns, const Work& work) {
  const int pieces = (columns + Columns - 1) / Columns;  // of a row
  const int warps = static_cast<int>(ptx::grid_size()) * (abi::row_operation_threads / 32);
  const int warp = static_cast<int>(ptx::block_index() * abi::row_operation_threads + ptx::thread_index()) / 32;
  // Piece p of row r is number r * pieces + p, which this walks through in steps of `warps` without dividing again.
  const int row_step = warps / pieces;
  const int piece_step = warps % pieces;
  int row = warp / pieces;
  int piece = warp % pieces;
  MOE_NO_UNROLL
  while (row < rows) {
    work(row, piece * Columns + static_cast<int>(ptx::lane_index()) * 8);
    row += row_step;
    piece += piece_step;
    if (piece >= pieces) {
      piece -= pieces;
      ++row;
    }
  }
}

}  // namespace moe_tune
