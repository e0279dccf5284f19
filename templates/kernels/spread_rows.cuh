// Copies rows to expert order by source row: each is read once, and stored for every slot of it that has a row.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp takes 512 columns of a source row at a time; its lane c knows where the row of the c-th slot is. The next piece is on
// its way before the current one is stored, and where the rows after that go:
//
//     load rows of p+2   load piece p+1   store piece p, a row for each slot │ load rows of p+3   load piece p+2   ...
//
// Where no slot has a row nothing is read. What takes the time is writing.
#pragma once

#include "abi/row_operations.cuh"
#include "kernels/permute_rows.cuh"
#include "kernels/row_pieces.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

template <class Change = AsItIs>
class SpreadRows {
 public:
  static MOE_DEVICE void run(const abi::PermuteRowsArgs& args) {
    const int sources = args.gemm.M / args.slots_per_row;
    Walk walk(args.columns);
    Place place = load_place(args, walk, sources);
    Piece piece = load_piece(args, place);
    walk.advance();
    place = load_place(args, walk, sources);
    MOE_NO_UNROLL
    while (piece.source < sources) {
      walk.advance();
      const Place place_ahead = load_place(args, walk, sources);
      const Piece next = load_piece(args, place);
      store(args, piece);
      piece = next;
      place = place_ahead;
    }
  }

 private:
  using Walk = PieceWalk<abi::spread_columns>;
  static constexpr int in_flight = abi::spread_columns / 256;

  /// Which piece, and where it goes.
  struct Place {
    int source;
    int column;
    int slot;  // of this lane; -1 for none
    int row;   // of the slot, as it was given
  };

  struct Piece {
    int source;
    int column;
    int row;  // of this lane's slot; -1 for none
    Change change;
    Words4 words[in_flight];
  };

  static MOE_DEVICE Place load_place(const abi::PermuteRowsArgs& args, const Walk& walk, int sources) {
    const int lane = static_cast<int>(ptx::lane_index());
    const bool present = walk.row() < sources && lane < args.slots_per_row;
    const int slot = present ? walk.row() * args.slots_per_row + lane : -1;
    return {walk.row(), walk.column(), slot, present ? ptx::load_constant(args.slot_rows + slot) : -1};
  }

  static MOE_DEVICE Piece load_piece(const abi::PermuteRowsArgs& args, const Place& place) {
    int row = place.row;
    if (row >= args.gemm.M) {
      ptx::set_status(args.gemm.status, abi::status_bad_gather_index);
      row = -1;
    }
    Piece piece = {place.source, place.column, row, Change(args.gemm, row < 0 ? -1 : place.slot), {}};
    if (!ptx::warp_any(row >= 0)) return piece;
    const char* const source = static_cast<const char*>(args.gemm.x) + static_cast<i64>(place.source) * args.gemm.x_row_bytes;
    MOE_UNROLL
    for (int i = 0; i < in_flight; ++i) {
      const int column = place.column + i * 256;
      if (column < args.columns) piece.words[i] = ptx::load_streaming(source + static_cast<i64>(column) * 2);
    }
    return piece;
  }

  static MOE_DEVICE void store(const abi::PermuteRowsArgs& args, const Piece& piece) {
    char* const columns = static_cast<char*>(args.gemm.y) + static_cast<i64>(piece.column) * 2;
    MOE_NO_UNROLL
    for (int choice = 0; choice < args.slots_per_row; ++choice) {
      const int row = ptx::shuffle(piece.row, static_cast<u32>(choice));
      const Change change = piece.change.of_lane(static_cast<u32>(choice));
      if (row < 0) continue;
      char* const target = ptx::advance(columns, row, args.gemm.y_row_bytes);
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        if (piece.column + i * 256 < args.columns) ptx::store(static_cast<void*>(target + i * 512), change.apply(piece.words[i]));
      }
    }
  }
};

}  // namespace moe_tune
