// Copies rows to expert order and back: the dispatch, by itself or before a kernel that loads the rows as boxes, and its inverse.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp copies a piece of a row at a time, up to 4 KiB. The next piece is on its way before the current one is stored, and the
// slot of the row after that:
//
//     load slot r+2   load piece r+1   store piece r │ load slot r+3   load piece r+2   store piece r+1 │ ...
//
// A row that is scaled has its weight loaded with its first piece.
// Tokens are read top_k times, after the first from the L2 where they stay there; what takes the time is writing them.
#pragma once

#include "kernels/row_values.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"
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

  /// Nothing where `target` is null.
  template <class Change>
  MOE_DEVICE void store(char* target, int first, int end, const Change& change) const {
    MOE_UNROLL
    for (int i = 0; i < per_lane; ++i) {
      const int chunk = first + i * 32 + static_cast<int>(ptx::lane_index());
      if (target != nullptr && chunk < end) ptx::store(static_cast<void*>(target + chunk * 16), change.apply(words_[i]));
    }
  }

 private:
  Words4 words_[per_lane];
};

/// What becomes of a row on its way: nothing.
struct AsItIs {
  MOE_DEVICE AsItIs(const abi::GroupedGemmArgs&, int) {}
  MOE_DEVICE AsItIs of_lane(u32) const { return *this; }
  MOE_DEVICE Words4 apply(const Words4& words) const { return words; }
};

/// It is multiplied by its slot's weight, and rounded.
template <DType Type>
struct TimesWeight {
  float weight;

  MOE_DEVICE explicit TimesWeight(float value) : weight(value) {}
  MOE_DEVICE TimesWeight(const abi::GroupedGemmArgs& args, int slot)
      : TimesWeight(slot < 0 ? 0.0f : load_topk_weight<Type>(args, slot)) {}

  /// What becomes of the row of another lane's slot. All 32 lanes take part.
  MOE_DEVICE TimesWeight of_lane(u32 lane) const { return TimesWeight(ptx::shuffle_xor(weight, ptx::lane_index() ^ lane)); }

  MOE_DEVICE Words4 apply(const Words4& words) const {
    Values8 values = unpack_values<Type>(words);
    MOE_UNROLL
    for (int j = 0; j < 8; ++j) values.v[j] *= weight;
    return pack_values<Type>(values);
  }
};

/// Copies `chunks` 16-byte chunks of source_of(r, slot) to target_of(r, slot) for r < count, slot being gather_indices[r], or -1
/// for a bad one; zeros where there is no source, nothing where there is no target. By whole warps, of which each block has
/// `Threads` / 32.
template <int Threads, class Change, class SourceOf, class TargetOf>
MOE_DEVICE void move_rows(const abi::GroupedGemmArgs& args, int chunks, int count, const SourceOf& source_of,
                          const TargetOf& target_of) {
  const int warps = static_cast<int>(ptx::grid_size()) * (Threads / 32);
  const auto slot_at = [&](int row) { return row < count ? load_slot(args, row) : -1; };
  int row = (static_cast<int>(ptx::block_index()) * Threads + static_cast<int>(ptx::thread_index())) / 32;
  if (row >= count) return;
  int first = 0;
  int slot = slot_at(row);
  int slot_ahead = slot_at(row + warps);
  Change change(args, slot);
  RowPiece piece;
  piece.load(source_of(row, slot), first, chunks);
  MOE_NO_UNROLL
  for (;;) {
    int next_row = row;
    int next_slot = slot;
    int next_first = first + RowPiece::chunks;
    if (next_first >= chunks) {
      next_row += warps;
      next_first = 0;
      next_slot = slot_ahead;
      slot_ahead = slot_at(next_row + warps);
    }
    char* const target = target_of(row, slot);
    if (next_row >= count) {
      piece.store(target, first, chunks, change);
      return;
    }
    const Change next_change = next_row == row ? change : Change(args, next_slot);
    RowPiece next;
    next.load(source_of(next_row, next_slot), next_first, chunks);
    piece.store(target, first, chunks, change);
    piece = next;
    change = next_change;
    row = next_row;
    slot = next_slot;
    first = next_first;
  }
}

/// Row gather_indices[r] / slots_per_row of args.x goes to row r of `rows`, which lie row_bytes apart; zeros for a bad index.
template <int Threads, class Change = AsItIs>
MOE_DEVICE void permute_rows(const abi::GroupedGemmArgs& args, char* rows, int row_bytes, int chunks, int slots_per_row,
                             int count) {
  move_rows<Threads, Change>(
      args, chunks, count,
      [&](int, int slot) {
        return slot < 0 ? nullptr : static_cast<const char*>(args.x) + static_cast<i64>(slot / slots_per_row) * args.x_row_bytes;
      },
      [&](int row, int) { return ptx::advance(rows, row, row_bytes); });
}

/// Row r of args.x goes to row gather_indices[r] of args.y; nowhere for a bad index.
template <int Threads>
MOE_DEVICE void unpermute_rows(const abi::GroupedGemmArgs& args, int chunks, int count) {
  move_rows<Threads, AsItIs>(
      args, chunks, count,
      [&](int row, int) { return static_cast<const char*>(args.x) + static_cast<i64>(row) * args.x_row_bytes; },
      [&](int, int slot) { return slot < 0 ? nullptr : ptx::advance(static_cast<char*>(args.y), slot, args.y_row_bytes); });
}

}  // namespace moe_tune
