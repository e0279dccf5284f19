// What an epilogue wants to know of the rows of a tile, in shared memory: where each is stored, and what it is scaled by.
// archs: sm_90 sm_90a sm_100 sm_120
//
// A warp of its own looks the rows of the coming tiles up while earlier ones are multiplied: two dependent loads from global
// memory for each row, which nobody then waits for. Two tables take turns, with a full and an empty mbarrier each.
#pragma once

#include "mainloop/ring.cuh"
#include "ptx/shared.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/rows_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Shared memory, of which the barriers are there in every kernel: [two times slots and, where they are needed, scales of BLOCK_M
/// rows][mbarriers]. The tables' use by the warp that fills them; RowTable is the other side's.
template <class Problem, class Config>
class RowTables {
 public:
  static constexpr bool scales = Problem::fuse_mul_post || Problem::fuse_mul_pre;
  static constexpr bool needed = Problem::scatter_rows || scales;

 private:
  using Barriers = RingBarriers<2>;
  static constexpr int rows = Config::block_m;
  static constexpr u32 slot_bytes = needed ? rows * 4 : 0;
  static constexpr u32 table_bytes = slot_bytes + (scales ? rows * 4 : 0);

 public:
  static constexpr u32 bytes = 2 * table_bytes + Barriers::bytes;

  /// `shared_address` is 8-byte aligned.
  MOE_DEVICE explicit RowTables(u32 shared_address) : base_(shared_address) {}

  /// By one thread, like RingBarriers::init().
  MOE_DEVICE void init() const { barriers(base_).init(32, 128 * Config::consumers_of_tile); }

  /// Looks up the rows of the next tile. By a warp.
  MOE_DEVICE void fill(const abi::GroupedGemmArgs& args, const Tile& tile) {
    constexpr int in_flight = 4;
    barriers(base_).wait_empty(position_);
    const u32 table = base_ + position_.stage * table_bytes + ptx::lane_index() * 4;
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
        const u32 entry = table + static_cast<u32>(first + i * 32) * 4;
        if (first + i * 32 + lane >= tile.rows) break;
        ptx::store_shared(entry, slots[i]);
        if constexpr (scales)
          ptx::store_shared(entry + slot_bytes, slots[i] < 0 ? 0.0f : load_topk_weight<Problem::type>(args, slots[i]));
      }
    }
    ptx::mbarrier_arrive(barriers(base_).full(position_.stage));
    position_.advance();
  }

 private:
  template <class, class>
  friend class RowTable;

  static MOE_DEVICE Barriers barriers(u32 base) { return {base + 2 * table_bytes}; }

  u32 base_;
  typename Barriers::Position position_;
};

/// The table of the tile that a consumer warpgroup stores. All its threads wait, read and release.
template <class Problem, class Config>
class RowTable {
  using Tables = RowTables<Problem, Config>;

 public:
  static constexpr bool needed = Tables::needed;

  /// `turn` counts the consumer's tiles from 0. Ping-pong consumers have a table each, cooperative ones share both.
  MOE_DEVICE RowTable(u32 tables, u32 consumer, u32 turn) : tables_(tables) {
    position_.stage = Config::ping_pong ? consumer : turn % 2;
    position_.parity = Config::ping_pong ? turn % 2 : turn / 2 % 2;
  }

  MOE_DEVICE void wait() const { Tables::barriers(tables_).wait_full(position_); }
  /// The row of y where row i of the tile goes; -1 for none.
  MOE_DEVICE int slot(int i) const { return ptx::load_shared(entry(i)); }
  MOE_DEVICE float scale(int i) const { return ptx::load_shared_float(entry(i) + Tables::slot_bytes); }
  MOE_DEVICE void release() const { ptx::mbarrier_arrive(Tables::barriers(tables_).empty(position_.stage)); }

 private:
  MOE_DEVICE u32 entry(int i) const { return tables_ + position_.stage * Tables::table_bytes + static_cast<u32>(i) * 4; }

  u32 tables_;
  RingPosition<2> position_;
};

}  // namespace moe_tune
