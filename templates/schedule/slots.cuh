// Routed slots: gather_indices[r] says which slot (token * top_k + choice) stands at sorted row r.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp needs the slots of the rows it copies or stores, several lanes the same ones. Each is loaded once, by one lane, long
// before its use: load() issues the loads and waits for nothing, resolve() checks the values, get() hands them out by shuffle.
#pragma once

#include "abi/grouped_gemm.cuh"
#include "ptx/global.cuh"
#include "ptx/numeric.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

/// The slot at a sorted row; -1, and a report, for an index outside [0, M).
MOE_DEVICE int load_slot(const abi::GroupedGemmArgs& args, int row) {
  const i64 slot = args.gather_indices_64 ? ptx::load_constant(static_cast<const i64*>(args.gather_indices) + row)
                                          : ptx::load_constant(static_cast<const int*>(args.gather_indices) + row);
  if (slot >= 0 && slot < args.M) return static_cast<int>(slot);
  ptx::set_status(args.status, abi::status_bad_gather_index);
  return -1;
}

/// topk_weights[slot].
template <DType Type>
MOE_DEVICE float load_topk_weight(const abi::GroupedGemmArgs& args, int slot) {
  if (args.topk_weights_f32) return ptx::load_constant(static_cast<const float*>(args.topk_weights) + slot);
  return ptx::unpack<Type>(ptx::load_constant(static_cast<const u16*>(args.topk_weights) + slot));
}

/// The slots of `Count` rows, spread over the lanes of a warp: row i lies with lane i % 32. All lanes call every method.
template <int Count>
class WarpSlots {
  static constexpr int per_lane = (Count + 31) / 32;

 public:
  /// `row_of(i)` is the sorted row of entry i, or -1 for none.
  template <class RowOf>
  MOE_DEVICE void load(const abi::GroupedGemmArgs& args, const RowOf& row_of) {
    const int words = args.gather_indices_64 ? 2 : 1;
    const int* indices = static_cast<const int*>(args.gather_indices);
    present_ = 0;
    MOE_UNROLL
    for (int j = 0; j < per_lane; ++j) {
      const int entry = j * 32 + static_cast<int>(ptx::lane_index());
      const int row = entry < Count ? row_of(entry) : -1;
      slot_[j] = -1;
      high_[j] = 0;
      if (row >= 0) {
        present_ |= 1u << j;
        // An int64 index is two words, little-endian; its high word must be zero.
        slot_[j] = ptx::load_constant(indices + static_cast<i64>(row) * words);
        if (words == 2) high_[j] = ptx::load_constant(indices + static_cast<i64>(row) * 2 + 1);
      }
    }
  }

  /// Turns indices outside [0, M) into -1 and reports them.
  MOE_DEVICE void resolve(const abi::GroupedGemmArgs& args) {
    MOE_UNROLL
    for (int j = 0; j < per_lane; ++j) {
      if (high_[j] != 0 || static_cast<u32>(slot_[j]) >= static_cast<u32>(args.M)) {
        if (present_ >> j & 1u) ptx::set_status(args.status, abi::status_bad_gather_index);
        slot_[j] = -1;
      }
    }
  }

  /// The slot of entry i, which may differ from lane to lane as long as i / 32 does not; -1 for none.
  MOE_DEVICE int get(int i) const { return ptx::shuffle(slot_[i / 32], static_cast<u32>(i) % 32); }

 private:
  static_assert(per_lane <= 32);

  int slot_[per_lane];
  int high_[per_lane];
  u32 present_;  // bit j: entry j of this lane is a row
};

}  // namespace moe_tune
