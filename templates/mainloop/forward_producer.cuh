// The copies of a forward GEMM: token rows (gathered with permute_x) and weight rows, from global memory to the ring.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "mainloop/sm80_multistage.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/forward_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Walks this block's tiles k-block by k-block, STAGES - 1 k-blocks ahead of the multiplication.
template <class Problem, class Config, class Schedule>
class ForwardProducer {
  using ACopy = TileCopy<Config, Config::block_m, RowPattern::consecutive>;
  using BCopy = TileCopy<Config, Config::block_n, RowPattern::spread>;
  static constexpr bool n_tail = Problem::N % Config::block_n != 0;
  static constexpr bool k_tail = Problem::K % Config::block_k != 0;

 public:
  MOE_DEVICE ForwardProducer(const abi::GroupedGemmArgs& args, const Schedule& schedule)
      : args_(args),
        schedule_(schedule),
        a_offset_(ACopy::first_offset()),
        b_offset_(Config::a_stage_bytes + BCopy::first_offset()),
        id_(ptx::block_index()) {
    prefetch_rows();
    next_tile();
    k_live_ = live_ && (!k_tail || ACopy::chunk() * 8 < Problem::K);
  }

  /// Issues part `Part` of `Parts` of this thread's copies of the current k-block; zeros when no k-block is left.
  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 stage_address) const {
    MOE_UNROLL
    for (int i = Part; i < ACopy::iterations; i += Parts) {
      if (ACopy::inside(i)) {
        ptx::cp_async_16(stage_address + ACopy::offset(a_offset_, i), ptx::advance(x_, rows_[i], args_.x_row_bytes), k_live_ && rows_[i] >= 0);
      }
    }
    MOE_UNROLL
    for (int i = Part; i < BCopy::iterations; i += Parts) {
      if (BCopy::inside(i)) {
        const bool valid = k_live_ && (!n_tail || n_ + BCopy::row(i) < Problem::N);
        ptx::cp_async_16(stage_address + BCopy::offset(b_offset_, i), ptx::advance(w_, i * BCopy::row_step, args_.w_row_bytes), valid);
      }
    }
  }

  /// Moves on to the next k-block, of the next tile after the last one.
  MOE_DEVICE void advance() {
    k_ += Config::block_k;
    x_ += Config::block_k * 2;
    w_ += Config::block_k * 2;
    if (live_ && k_ >= Problem::K) next_tile();
    k_live_ = live_ && (!k_tail || k_ + ACopy::chunk() * 8 < Problem::K);
  }

 private:
  /// Takes over the prefetched rows and starts loading those of the tile after it: their latency hides behind a whole tile.
  MOE_DEVICE void next_tile() {
    live_ = ahead_live_;
    if (!live_) return;
    const Tile tile = ahead_;
    MOE_UNROLL
    for (int i = 0; i < ACopy::iterations; ++i) rows_[i] = source_row(tile, ACopy::row(i), slots_[i]);
    k_ = 0;
    n_ = tile.n;
    x_ = static_cast<const char*>(args_.x) + ACopy::chunk() * 16;
    w_ = ptx::advance(static_cast<const char*>(args_.w) + tile.expert * args_.w_expert_bytes, tile.n + BCopy::row(0), args_.w_row_bytes) +
         BCopy::chunk() * 16;
    prefetch_rows();
  }

  MOE_DEVICE void prefetch_rows() {
    ahead_live_ = id_ < schedule_.count();
    if (!ahead_live_) return;
    ahead_ = schedule_.tile(id_);
    id_ += ptx::grid_size();
    if constexpr (Problem::permute_x) {
      MOE_UNROLL
      for (int i = 0; i < ACopy::iterations; ++i) {
        const int row = ACopy::row(i);
        slots_[i] = row < ahead_.rows ? load_slot(args_, ahead_.row + row) : -1;
      }
    }
  }

  static MOE_DEVICE int source_row(const Tile& tile, int row, int slot) {
    if constexpr (Problem::permute_x) return slot < 0 ? -1 : slot / Problem::top_k;
    return row < tile.rows ? tile.row + row : -1;
  }

  const abi::GroupedGemmArgs& args_;
  const Schedule& schedule_;
  const u32 a_offset_;
  const u32 b_offset_;
  u32 id_;           // the tile to prefetch next
  Tile ahead_;       // the prefetched tile
  bool ahead_live_;  // whether there is one
  int slots_[ACopy::iterations];
  bool live_;  // whether k-blocks are left to copy
  int rows_[ACopy::iterations];  // source rows of this thread's copies; -1: zeros
  const char* x_;  // this thread's chunk of row 0 at the current k-block
  const char* w_;  // this thread's chunk of its first weight row at the current k-block
  int n_;
  int k_;
  bool k_live_;  // whether this thread's chunk of the current k-block exists
};

}  // namespace moe_tune
