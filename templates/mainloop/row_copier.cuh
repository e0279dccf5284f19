// Gather::copy_ahead: while tiles are multiplied, a warp of every block copies token rows of coming tiles to expert order.
// archs: sm_90a
//
// The sorted rows are cut into pieces of 32, which the copiers of all blocks take one after the other from a counter. Rows go
// through a few slots of shared memory by bulk copies. When a piece has been written its flag is released; whoever loads rows
// acquires the flags of their pieces before. Copying waits for nobody, so every flag is released in the end, whatever blocks are
// resident.
//
// The workspace: the rows, and `copied`: the counter, then a flag for each piece; all 0 before the launch.
#pragma once

#include "abi/rows_sm90.cuh"
#include "mainloop/ring.cuh"
#include "ptx/atomics.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/fence.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/rows_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Shared memory: [slots][their mbarriers]. All methods by one warp.
template <class Problem>
class RowCopier {
  static constexpr u32 row_bytes = Problem::K * 2;
  static constexpr u32 most_bytes = 32 * 1024;
  static constexpr int slots = most_bytes / row_bytes >= 8   ? 8
                               : most_bytes / row_bytes >= 2 ? static_cast<int>(most_bytes / row_bytes)
                                                             : 2;
  static constexpr int ahead = slots / 2;  // loads before stores
  static constexpr int piece_rows = abi::copied_piece_rows;
  /// Rows that are copied ahead of a tile's expert: 16 MiB, a quarter of an H200's L2, and what boxes read behind a tile.
  static constexpr int ahead_rows = static_cast<int>((16 << 20) / row_bytes) + 2 * piece_rows;

 public:
  static constexpr u32 bytes = slots * (row_bytes + 8);

  /// `rows`: of all experts.
  MOE_DEVICE RowCopier(u32 shared_address, int rows) : base_(shared_address), rows_(rows) {}

  /// By one thread, like RingBarriers::init().
  static MOE_DEVICE void init(u32 shared_address) {
    for (u32 slot = 0; slot < slots; ++slot) ptx::mbarrier_init(shared_address + slots * row_bytes + slot * 8, 1);
  }

  /// Copies pieces until all rows up to ahead_rows after `row` are taken.
  MOE_DEVICE void copy_past(const abi::RowsSm90Args& args, int row) {
    const int limit = row < rows_ - ahead_rows ? row + ahead_rows : rows_;
    while (static_cast<int>(peek(args)) * piece_rows < limit) {
      const int first = next_piece(args) * piece_rows;
      if (first >= rows_) return;
      copy(args, first, rows_ - first < piece_rows ? rows_ - first : piece_rows);
    }
  }

 private:
  MOE_DEVICE u32 slot_address(u32 slot) const { return base_ + slot * row_bytes; }
  MOE_DEVICE u32 landed(u32 slot) const { return base_ + slots * row_bytes + slot * 8; }

  static MOE_DEVICE u32 peek(const abi::RowsSm90Args& args) {
    u32 piece = 0;
    if (ptx::lane_index() == 0) piece = ptx::load_relaxed_gpu(args.copied);
    return static_cast<u32>(ptx::shuffle(static_cast<int>(piece), 0));
  }

  static MOE_DEVICE int next_piece(const abi::RowsSm90Args& args) {
    u32 piece = 0;
    if (ptx::lane_index() == 0) piece = ptx::atomic_add_relaxed_gpu(args.copied, 1);
    return ptx::shuffle(static_cast<int>(piece), 0);
  }

  MOE_DEVICE void copy(const abi::RowsSm90Args& args, int first, int rows) {
    const int lane = static_cast<int>(ptx::lane_index());
    const int indices = lane < rows ? load_slot(args.gemm, first + lane) : -1;
    char* target = static_cast<char*>(args.rows) + static_cast<i64>(first) * row_bytes;
    MOE_NO_UNROLL
    for (int i = 0; i < rows + ahead; ++i) {
      if (i < rows) {
        const u32 slot = (loaded_ + static_cast<u32>(i)) % slots;
        if (lane == 0) ptx::bulk_wait_read<slots - ahead - 1>();
        load(args.gemm, ptx::shuffle(indices, static_cast<u32>(i)), slot);
      }
      if (i < ahead || lane != 0) continue;
      const u32 stored = loaded_ + static_cast<u32>(i - ahead);
      ptx::mbarrier_wait(landed(stored % slots), stored / slots & 1u);
      ptx::bulk_store(target + static_cast<i64>(i - ahead) * row_bytes, slot_address(stored % slots), row_bytes);
      ptx::bulk_commit();
    }
    loaded_ += static_cast<u32>(rows);
    if (lane == 0) {
      ptx::bulk_wait<0>();  // written, not just read
      ptx::fence_async_global();
      ptx::store_release_gpu(args.copied + 1 + first / piece_rows, 1);
    }
    ptx::warp_barrier();
  }

  /// Starts loading the row of a routed slot; zeros where there is none.
  MOE_DEVICE void load(const abi::GroupedGemmArgs& args, int routed, u32 slot) const {
    if (routed < 0) {
      ptx::warp_barrier();  // lane 0 has seen the slot read
      for (u32 i = ptx::lane_index() * 16; i < row_bytes; i += 32 * 16) ptx::store_shared(slot_address(slot) + i, Words4{});
      ptx::fence_async_shared();
      ptx::warp_barrier();
      if (ptx::lane_index() == 0) ptx::mbarrier_arrive(landed(slot));
    } else if (ptx::lane_index() == 0) {
      const char* x = static_cast<const char*>(args.x) + static_cast<i64>(routed / Problem::slots_per_row) * args.x_row_bytes;
      ptx::mbarrier_arrive_expect_tx(landed(slot), row_bytes);
      ptx::bulk_load(slot_address(slot), x, row_bytes, landed(slot));
    }
  }

  u32 base_;
  int rows_;
  u32 loaded_ = 0;  // rows, since the beginning
};

/// Which tiles' rows are in the workspace: one mbarrier for each of the next tiles. The warp that waits for rows is at most the
/// slots of a TileFeed ahead of the one that loads them, so that eight are more than enough.
class RowsReady {
  static constexpr u32 tiles = 8;

 public:
  static constexpr u32 bytes = tiles * 8;

  MOE_DEVICE explicit RowsReady(u32 shared_address) : base_(shared_address) {}

  /// By one thread, like RingBarriers::init().
  MOE_DEVICE void init() const {
    for (u32 i = 0; i < tiles; ++i) ptx::mbarrier_init(base_ + i * 8, 32);
  }

  /// Waits for what the boxes of the next tile read, which is more than its rows, and passes it on. By a warp; `rows`: of all
  /// experts.
  MOE_DEVICE void announce(const abi::RowsSm90Args& args, const Tile& tile, int rows) {
    const int end = tile.row + (tile.rows + abi::copied_piece_rows - 1) / abi::copied_piece_rows * abi::copied_piece_rows;
    const int last = ((end < rows ? end : rows) - 1) / abi::copied_piece_rows;
    for (int piece = tile.row / abi::copied_piece_rows + static_cast<int>(ptx::lane_index()); piece <= last; piece += 32) {
      while (ptx::load_acquire_gpu(args.copied + 1 + piece) == 0) {
      }
    }
    ptx::mbarrier_arrive(base_ + position_.stage * 8);
    position_.advance();
  }

  /// Waits until the next tile is announced; loads of its rows by the calling thread may follow.
  MOE_DEVICE void wait() {
    ptx::mbarrier_wait(base_ + position_.stage * 8, position_.parity);
    ptx::fence_async_global();
    position_.advance();
  }

 private:
  u32 base_;
  RingPosition<tiles> position_;
};

}  // namespace moe_tune
