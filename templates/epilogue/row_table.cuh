// What an epilogue wants to know of the rows of a tile, in shared memory: where each is stored, and what it is scaled by.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/shared.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/forward_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Slots, then scales, of up to `Rows` rows. A warpgroup fills it before the products of a tile, so that the loads are over when
/// they are, and reads it in the epilogue; barriers of the warpgroup lie between.
template <class Problem, int Rows>
class RowTable {
 public:
  static constexpr bool scales = Problem::fuse_mul_post || Problem::fuse_mul_pre;
  static constexpr bool needed = Problem::permute_y || scales;
  static constexpr u32 bytes = needed ? Rows * 8 : 0;

  MOE_DEVICE explicit RowTable(u32 shared_address) : base_(shared_address) {}

  /// `row` and `rows`: what the warpgroup stores. By its 128 threads.
  MOE_DEVICE void fill(const abi::GroupedGemmArgs& args, int row, int rows) const {
    if constexpr (needed) {
      for (int i = static_cast<int>(ptx::thread_index() % 128); i < rows; i += 128) {
        const int slot = load_slot(args, row + i);
        ptx::store_shared(slot_address(i), slot);
        if constexpr (scales) ptx::store_shared(scale_address(i), slot < 0 ? 0.0f : load_topk_weight<Problem::type>(args, slot));
      }
    }
  }

  /// The row of y where row i goes; -1 for none.
  MOE_DEVICE int slot(int i) const { return ptx::load_shared(slot_address(i)); }
  MOE_DEVICE float scale(int i) const { return ptx::load_shared_float(scale_address(i)); }

 private:
  MOE_DEVICE u32 slot_address(int i) const { return base_ + static_cast<u32>(i) * 4; }
  MOE_DEVICE u32 scale_address(int i) const { return base_ + static_cast<u32>(Rows + i) * 4; }

  u32 base_;
};

}  // namespace moe_tune
