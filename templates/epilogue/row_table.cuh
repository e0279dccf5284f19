// What an epilogue wants to know of the rows of a tile, in shared memory: where each is stored, and what it is scaled by.
// archs: sm_90 sm_90a sm_100 sm_120
//
// A warp of its own looks the rows of the coming tiles up while earlier ones are multiplied: two dependent loads from global
// memory for each row, which nobody then waits for. Two tables take turns, with a full and an empty mbarrier each.
#pragma once

#include "mainloop/ring.cuh"
#include "ptx/shared.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/forward_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Shared memory: [two times slots and scales of BLOCK_M rows][mbarriers].
template <class Problem, class Config>
class RowTables {
  static constexpr int rows = Config::block_m;
  using Barriers = RingBarriers<2>;

 public:
  static constexpr bool scales = Problem::fuse_mul_post || Problem::fuse_mul_pre;
  static constexpr bool needed = Problem::permute_y || scales;
  static constexpr u32 bytes = (needed ? 2 * rows * 8 : 0) + Barriers::bytes;

  /// `shared_address` is 8-byte aligned. A ping-pong consumer begins at its own table.
  MOE_DEVICE RowTables(u32 shared_address, u32 first) : base_(shared_address) {
    if (first == 1) position_.advance();
  }

  /// By one thread, like RingBarriers::init().
  MOE_DEVICE void init() const { barriers().init(32, 128 * Config::consumers_of_tile); }

  /// Looks up the rows of the next tile. By the table warp.
  MOE_DEVICE void fill(const abi::GroupedGemmArgs& args, const Tile& tile) {
    constexpr int in_flight = 4;
    barriers().wait_empty(position_);
    const int lane = static_cast<int>(ptx::lane_index());
    MOE_NO_UNROLL
    for (int first = 0; first < tile.rows; first += 32 * in_flight) {
      int slots[in_flight];
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int row = first + i * 32 + lane;
        slots[i] = row < tile.rows ? load_slot(args, tile.row + row) : -1;
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int row = first + i * 32 + lane;
        if (row >= tile.rows) break;
        ptx::store_shared(slot_address(row), slots[i]);
        if constexpr (scales)
          ptx::store_shared(scale_address(row), slots[i] < 0 ? 0.0f : load_topk_weight<Problem::type>(args, slots[i]));
      }
    }
    ptx::mbarrier_arrive(barriers().full(position_.stage));
    position_.advance();
  }

  // By the consumers of a tile: wait, read, release; all threads.

  MOE_DEVICE void wait() const { barriers().wait_full(position_); }
  /// The row of y where row i of the tile goes; -1 for none.
  MOE_DEVICE int slot(int i) const { return ptx::load_shared(slot_address(i)); }
  MOE_DEVICE float scale(int i) const { return ptx::load_shared_float(scale_address(i)); }
  MOE_DEVICE void release() {
    ptx::mbarrier_arrive(barriers().empty(position_.stage));
    position_.skip(Config::ping_pong ? 2 : 1);
  }

 private:
  MOE_DEVICE Barriers barriers() const { return {base_ + bytes - Barriers::bytes}; }
  MOE_DEVICE u32 slot_address(int i) const { return base_ + (position_.stage * rows * 2 + static_cast<u32>(i)) * 4; }
  MOE_DEVICE u32 scale_address(int i) const { return slot_address(i) + rows * 4; }

  u32 base_;
  typename Barriers::Position position_;
};

}  // namespace moe_tune
