// The copies of the sm80 family: token rows, gathered or in expert order, and weight rows, from global memory to the ring.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "mainloop/sm80_multistage.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/rows_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Walks this block's tiles k-block by k-block, STAGES - 1 k-blocks ahead of the multiplication. The inner loop is kept to the
/// copies themselves: every address is a register plus a constant, and the registers move once per k-block.
template <class Problem, class Config, class Schedule>
class Sm80Producer {
  static constexpr bool slabs = Problem::weight_rows_are_k;
  using ACopy = TileCopy<Config, Config::block_m, Config::block_k, RowPattern::consecutive>;
  using BCopy = TileCopy<Config, Config::block_n, Config::block_k, RowPattern::spread>;
  using BSlabs = SlabCopy<Config, Config::block_n>;
  static constexpr int k_blocks = Config::k_blocks(Problem::K);
  static constexpr bool n_tail = Problem::N % Config::block_n != 0;
  static constexpr int rows_per_iteration = 32 / ACopy::chunks_per_row;  // of one warp

 public:
  /// Every thread of the block makes one; the block has a tile.
  MOE_DEVICE Sm80Producer(const abi::GroupedGemmArgs& args, const Schedule& schedule)
      : args_(args),
        schedule_(schedule),
        a_offset_(ACopy::first_offset()),
        b_offset_(Config::a_stage_bytes + (slabs ? BSlabs::first_offset() : BCopy::first_offset())),
        missing_blocks_(k_blocks - (Problem::K - ACopy::chunk() * 8 + Config::block_k - 1) / Config::block_k),
        ahead_id_(ptx::block_index()) {
    prefetch_tile();
    next_tile();
  }

  /// The tile whose k-blocks are being copied. The consumer starts a tile when this has arrived at it, and not yet left it.
  MOE_DEVICE const Tile& tile() const { return tile_; }
  /// Whether tile() is there; false once the block has run out of tiles.
  MOE_DEVICE bool live() const { return blocks_left_ > 0; }

  /// Issues part `Part` of `Parts` of this thread's copies of the current k-block; zeros when no k-block is left.
  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 stage_address) const {
    const bool live = blocks_left_ > missing_blocks_;
    MOE_UNROLL
    for (int i = Part; i < ACopy::iterations; i += Parts) {
      if (ACopy::inside(i)) ptx::cp_async_16<0>(ACopy::address(stage_address + a_offset_, i), x_[i], live && x_[i] >= row_exists);
    }
    if constexpr (slabs) {
      const int k_left = Problem::K - (k_blocks - blocks_left_) * Config::block_k;
      copy_slabs<Part, Parts>(stage_address + b_offset_, blocks_left_ > 0 ? k_left : 0);
    } else {
      copy_w<Part, Parts>(stage_address + b_offset_, live);
    }
  }

  /// Moves on to the next k-block, of the next tile after the last one.
  MOE_DEVICE void advance() {
    MOE_UNROLL
    for (int i = 0; i < ACopy::iterations; ++i) x_[i] += Config::block_k * 2;
    w_ += slabs ? static_cast<u64>(Config::block_k * static_cast<i64>(w_row_bytes())) : Config::block_k * 2;
    if (--blocks_left_ == 0) next_tile();
  }

 private:
  /// Addresses below this stand for rows of zeros: a tile's missing rows and bad slots.
  static constexpr u64 row_exists = u64{1} << 32;

  /// Iterations I, I + Parts, ... of the weight rows.
  template <int I, int Parts>
  MOE_DEVICE void copy_w(u32 address, bool live) const {
    if constexpr (I < BCopy::iterations) {
      const bool valid = live && (!n_tail || tile_.n + BCopy::row(I) < Problem::N);
      if (BCopy::inside(I)) {
        constexpr i64 offset = static_cast<i64>(I) * BCopy::row_step * Problem::K * 2;
        if constexpr (!Problem::strided_w && offset < (1 << 23)) {
          ptx::cp_async_16<static_cast<int>(offset)>(BCopy::address(address, I), w_, valid);
        } else {
          ptx::cp_async_16<0>(BCopy::address(address, I),
                              w_ + static_cast<u64>(static_cast<i64>(I * BCopy::row_step) * w_row_bytes()), valid);
        }
      }
      copy_w<I + Parts, Parts>(address, live);
    }
  }

  /// The same of weights whose rows run along K, of which `k_left` are left.
  template <int I, int Parts>
  MOE_DEVICE void copy_slabs(u32 address, int k_left) const {
    if constexpr (I < BSlabs::iterations) {
      const bool valid = BSlabs::first_k_row() + BSlabs::k_row(I) < k_left &&
                         (!n_tail || tile_.n + BSlabs::first_column() + BSlabs::column(I) < Problem::N);
      if (BSlabs::inside(I)) {
        constexpr i64 offset = static_cast<i64>(BSlabs::k_row(I)) * Problem::N * 2 + BSlabs::column(I) * 2;
        if constexpr (!Problem::strided_w && offset < (1 << 23)) {
          ptx::cp_async_16<static_cast<int>(offset)>(BSlabs::address(address, I), w_, valid);
        } else {
          const i64 further = static_cast<i64>(BSlabs::k_row(I)) * w_row_bytes() + BSlabs::column(I) * 2;
          ptx::cp_async_16<0>(BSlabs::address(address, I), w_ + static_cast<u64>(further), valid);
        }
      }
      copy_slabs<I + Parts, Parts>(address, k_left);
    }
  }

  MOE_DEVICE int w_row_bytes() const { return Problem::strided_w ? args_.w_row_bytes : (slabs ? Problem::N : Problem::K) * 2; }

  /// Takes over the prefetched tile and starts loading the slots of the one after it: their latency hides behind a whole tile.
  MOE_DEVICE void next_tile() {
    if (!ahead_live_) return;  // blocks_left_ stays at or below zero: no copy is live
    blocks_left_ = k_blocks;
    tile_ = ahead_;
    const i64 first = slabs ? static_cast<i64>(BSlabs::first_k_row()) * w_row_bytes() + (tile_.n + BSlabs::first_column()) * 2
                            : static_cast<i64>(tile_.n + BCopy::row(0)) * w_row_bytes() + BCopy::chunk() * 16;
    w_ = reinterpret_cast<u64>(args_.w) + static_cast<u64>(tile_.expert * args_.w_expert_bytes + first);
    find_rows();
    ahead_id_ += ptx::grid_size();
    prefetch_tile();
  }

  /// Starts loading what the tile ahead_id_ needs.
  MOE_DEVICE void prefetch_tile() {
    ahead_live_ = ahead_id_ < schedule_.count();
    if (!ahead_live_) return;
    ahead_ = schedule_.tile(ahead_id_);
    if constexpr (Problem::gather_rows) {
      slots_.load(args_, [&](int entry) {
        const int row = warp_row(entry);
        return row < ahead_.rows ? ahead_.row + row : -1;
      });
    }
  }

  /// Where this thread's chunk of each of its rows of the prefetched tile starts.
  MOE_DEVICE void find_rows() {
    if constexpr (Problem::gather_rows) slots_.resolve(args_);
    MOE_UNROLL
    for (int i = 0; i < ACopy::iterations; ++i) {
      int row = -1;
      if constexpr (Problem::gather_rows) {
        const int slot = slots_.get(i * rows_per_iteration + static_cast<int>(ptx::lane_index()) / ACopy::chunks_per_row);
        if (slot >= 0) row = slot / Problem::slots_per_row;
      } else if (ACopy::row(i) < ahead_.rows) {
        row = ahead_.row + ACopy::row(i);
      }
      x_[i] = row < 0 ? 0
                      : reinterpret_cast<u64>(args_.x) + static_cast<u64>(static_cast<i64>(row) * args_.x_row_bytes) +
                            ACopy::chunk() * 16;
    }
  }

  /// The tile row of entry e of the rows that this warp copies: iteration e / rows_per_iteration.
  static MOE_DEVICE int warp_row(int entry) {
    const int first = static_cast<int>(ptx::thread_index()) / 32 * rows_per_iteration;
    return first + entry / rows_per_iteration * ACopy::row_step + entry % rows_per_iteration;
  }

  const abi::GroupedGemmArgs& args_;
  const Schedule& schedule_;
  const u32 a_offset_;
  const u32 b_offset_;
  const int missing_blocks_;  // k-blocks at the end of a tile in which this thread's chunk lies past K
  Tile tile_;                 // the tile that is copied
  int blocks_left_ = 0;       // of its k-blocks
  u32 ahead_id_;              // the tile after it
  Tile ahead_;                // the same, prefetched
  bool ahead_live_;           // whether there is one
  WarpSlots<rows_per_iteration * ACopy::iterations> slots_;  // of ahead_
  u64 x_[ACopy::iterations];                                 // this thread's chunks of token rows at the current k-block
  u64 w_;                                                    // this thread's chunk of its first weight row at the current k-block
};

}  // namespace moe_tune
