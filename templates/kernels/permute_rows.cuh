// Copies rows to expert order: the dispatch, by itself or before a kernel that loads the rows as boxes.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp copies a piece of a row at a time, up to 4 KiB. The next piece is on its way before the current one is stored, and the
// slot of the row after that:
//
//     load slot r+2   load piece r+1   store piece r │ load slot r+3   load piece r+2   store piece r+1 │ ...
//
// Tokens are read top_k times, after the first from the L2 where they stay there; what takes the time is writing them.
#pragma once

#include "ptx/global.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// What is in flight of a row: chunks of 16 bytes, dealt out to the lanes of a warp.
class RowPiece {
  static constexpr int per_lane = 8;

 public:
  static constexpr int chunks = 32 * per_lane;

  /// Chunks [first, end) of the row at `source`, up to `chunks`; zeros when there is none.
  MOE_DEVICE void load(const char* source, int first, int end) {
    MOE_UNROLL
    for (int i = 0; i < per_lane; ++i) {
      const int chunk = first + i * 32 + static_cast<int>(ptx::lane_index());
      words_[i] = {};
      if (source != nullptr && chunk < end) words_[i] = ptx::load_constant_16(source + chunk * 16);
    }
  }

  MOE_DEVICE void store(char* target, int first, int end) const {
    MOE_UNROLL
    for (int i = 0; i < per_lane; ++i) {
      const int chunk = first + i * 32 + static_cast<int>(ptx::lane_index());
      if (chunk < end) ptx::store(static_cast<void*>(target + chunk * 16), words_[i]);
    }
  }

 private:
  Words4 words_[per_lane];
};

/// Copies `chunks` 16-byte chunks of row gather_indices[r] / slots_per_row of args.x to row r of `rows`, which lie row_bytes
/// apart, for r < count; zeros for a bad index. By whole warps, of which each block has `Threads` / 32.
template <int Threads>
MOE_DEVICE void permute_rows(const abi::GroupedGemmArgs& args, char* rows, int row_bytes, int chunks, int slots_per_row,
                             int count) {
  const int warps = static_cast<int>(ptx::grid_size()) * (Threads / 32);
  const auto slot_at = [&](int row) { return row < count ? load_slot(args, row) : -1; };
  const auto source_of = [&](int slot) {
    return slot < 0 ? nullptr : static_cast<const char*>(args.x) + static_cast<i64>(slot / slots_per_row) * args.x_row_bytes;
  };
  int row = (static_cast<int>(ptx::block_index()) * Threads + static_cast<int>(ptx::thread_index())) / 32;
  if (row >= count) return;
  int first = 0;
  const char* source = source_of(slot_at(row));
  int next_slot = slot_at(row + warps);
  RowPiece piece;
  piece.load(source, first, chunks);
  MOE_NO_UNROLL
  for (;;) {
    int next_row = row;
    int next_first = first + RowPiece::chunks;
    if (next_first >= chunks) {
      next_row += warps;
      next_first = 0;
      source = source_of(next_slot);
      next_slot = slot_at(next_row + warps);
    }
    char* const target = ptx::advance(rows, row, row_bytes);
    if (next_row >= count) {
      piece.store(target, first, chunks);
      return;
    }
    RowPiece next;
    next.load(source, next_first, chunks);
    piece.store(target, first, chunks);
    piece = next;
    row = next_row;
    first = next_first;
  }
}

}  // namespace moe_tune
