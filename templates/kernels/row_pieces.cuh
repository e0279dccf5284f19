// How the warps of a grid share rows: a piece of a row for each in turn, so that few rows keep many warps busy.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/row_operations.cuh"
#include "ptx/base.cuh"

namespace moe_tune {

/// The pieces of `Columns` columns that are this lane's warp's, one after another; rows have no end here.
template <int Columns>
class PieceWalk {
 public:
  MOE_DEVICE explicit PieceWalk(int columns) : pieces_((columns + Columns - 1) / Columns) {
    const int warps = static_cast<int>(ptx::grid_size()) * (abi::row_operation_threads / 32);
    const int warp = static_cast<int>(ptx::block_index() * abi::row_operation_threads + ptx::thread_index()) / 32;
    // Piece p of row r is number r * pieces + p, which this walks through in steps of `warps` without dividing again.
    row_step_ = warps / pieces_;
    piece_step_ = warps % pieces_;
    row_ = warp / pieces_;
    piece_ = warp % pieces_;
  }

  MOE_DEVICE int row() const { return row_; }
  /// The first of the lane's 8 columns in the piece; it may lie past the row's end.
  MOE_DEVICE int column() const { return piece_ * Columns + static_cast<int>(ptx::lane_index()) * 8; }

  MOE_DEVICE void advance() {
    row_ += row_step_;
    piece_ += piece_step_;
    if (piece_ >= pieces_) {
      piece_ -= pieces_;
      ++row_;
    }
  }

 private:
  int pieces_;  // of a row
  int row_step_;
  int piece_step_;
  int row_;
  int piece_;
};

/// Calls work(row, column) for the pieces of `rows` rows that are this lane's warp's.
template <int Columns, class Work>
MOE_DEVICE void for_each_piece(int rows, int columns, const Work& work) {
  MOE_NO_UNROLL
  for (PieceWalk<Columns> walk(columns); walk.row() < rows; walk.advance()) work(walk.row(), walk.column());
}

}  // namespace moe_tune
