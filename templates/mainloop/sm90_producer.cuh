// The copies of token rows and weights of the sm90 family, from global memory to the ring: boxes by TMA.
// With Gather::in_kernel the token rows are mainloop/row_gatherer.cuh's.
// archs: sm_90a
//
// In a cluster both blocks multiply the same token rows with different weights. The boxes of tokens are dealt out to the blocks;
// each loads its boxes for both. So a block writes into the other's stage: it waits until the readers of both blocks are done
// with theirs, and each block announces all the bytes that its own stage gets.
#pragma once

#include "abi/rows_sm90.cuh"
#include "mainloop/ring.cuh"
#include "mainloop/row_gatherer.cuh"
#include "mainloop/side_boxes.cuh"
#include "ptx/cache_policy.cuh"
#include "ptx/cluster.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/rows_problem.cuh"

namespace moe_tune {

template <class Problem, class Config>
class Sm90Producer {
  using Barriers = RingBarriers<Config::stages>;
  using Gatherer = RowGatherer<Problem, Config>;
  static constexpr int k_blocks = Config::k_blocks(Problem::K);
  static constexpr int box_rows = Config::block_m % 32 == 0 ? 32 : 16;  // of tokens
  static constexpr u32 box_bytes = box_rows * sm90_row_bytes;
  using Weights = typename WeightLines<Problem::weight_rows_are_k, Config::block_n, Config::block_k>::Type;
  using WeightBoxes = SideBoxes<Problem::N, Config::block_n, Config::block_k>;  // where they are SideLines

 public:
  /// Does Gather::in_kernel apply?
  static constexpr bool gathers = Problem::gather_rows && Config::gathers;
  /// Arrivals at a full mbarrier: the thread that announces bytes, and those who gather.
  static constexpr u32 full_arrivals = 1 + (gathers ? Gatherer::arrivals : 0);

  MOE_DEVICE Sm90Producer(u32 stages, Barriers barriers) : stages_(stages), barriers_(barriers) {}

  /// Loads all k-blocks of a tile. By one thread.
  MOE_DEVICE void load(const abi::RowsSm90Args& args, const Tile& tile) {
    const u32 rank = Config::cluster == 1 ? 0 : ptx::cluster_rank();
    const int boxes = (tile.rows + box_rows - 1) / box_rows;
    const u32 bytes =
        weight_bytes(tile) + Config::k_slices * (gathers ? sent_bytes(tile, rank) : static_cast<u32>(boxes) * box_bytes);
    MOE_NO_UNROLL
    for (int k_block = 0; k_block < k_blocks; ++k_block) {
      const u32 full = barriers_.full(position_.stage);
      const u32 stage = stages_ + position_.stage * Config::stage_bytes;
      barriers_.wait_empty(position_);
      ptx::mbarrier_arrive_expect_tx(full, bytes);
      load_weights(args, stage, full, k_block * Config::block_k, tile);
      if constexpr (!gathers) {
        MOE_UNROLL
        for (int slice = 0; slice < Config::k_slices; ++slice) {
          const int k = k_block * Config::block_k + slice * sm90_k;
          const u32 x = stage + Config::x_offset + slice * Config::x_slice_bytes;
          for (int box = static_cast<int>(rank); box < boxes; box += Config::cluster) {
            load_tokens(args, x + static_cast<u32>(box) * box_bytes, full, k, tile.row + box * box_rows);
          }
        }
      }
      position_.advance();
    }
  }

 private:
  /// Of gathered rows, those of a slice that the other block of a cluster sends.
  static MOE_DEVICE u32 sent_bytes(const Tile& tile, u32 rank) {
    if constexpr (Config::cluster == 1) return 0;
    return static_cast<u32>(Gatherer::part_of(tile, 1 - rank).count) * sm90_row_bytes;
  }

  static MOE_DEVICE u32 weight_bytes(const Tile& tile) {
    if constexpr (Problem::weight_rows_are_k) {
      return WeightBoxes::bytes(tile.n);
    } else {
      return Config::x_offset;  // they come first in a stage
    }
  }

  static MOE_DEVICE void load_weights(const abi::RowsSm90Args& args, u32 target, u32 full, int k, const Tile& tile) {
    if constexpr (Problem::weight_rows_are_k) {
      if constexpr (Config::streams_weights) {
        WeightBoxes::load(target, &args.w, full, tile.n, k, tile.expert, ptx::policy_evict_first());
      } else {
        WeightBoxes::load(target, &args.w, full, tile.n, k, tile.expert);
      }
    } else {
      MOE_UNROLL
      for (int slice = 0; slice < Config::k_slices; ++slice) {
        load_weight_rows(args, target + slice * Weights::part_bytes, full, k + slice * sm90_k, tile);
      }
    }
  }

  static MOE_DEVICE void load_weight_rows(const abi::RowsSm90Args& args, u32 target, u32 full, int k, const Tile& tile) {
    if constexpr (Problem::fuse_swiglu) {
      // Gate rows, then the up rows that belong to them: pairs meet in the registers of one thread.
      constexpr int half = Config::block_n / 2;
      load_weight_box(args, target, full, k, tile.n / 2, tile.expert);
      load_weight_box(args, target + half * sm90_row_bytes, full, k, Problem::N / 2 + tile.n / 2, tile.expert);
    } else {
      load_weight_box(args, target, full, k, tile.n, tile.expert);
    }
  }

  static MOE_DEVICE void load_weight_box(const abi::RowsSm90Args& args, u32 target, u32 full, int column, int row, int expert) {
    if constexpr (Config::streams_weights) {
      // They must not drive rows of y out of the L2: writes between reads cost several times their bytes.
      ptx::tma_load_3d(target, &args.w, full, column, row, expert, ptx::policy_evict_first());
    } else {
      ptx::tma_load_3d(target, &args.w, full, column, row, expert);
    }
  }

  static MOE_DEVICE void load_tokens(const abi::RowsSm90Args& args, u32 target, u32 full, int k, int row) {
    if constexpr (Config::cluster == 1) {
      ptx::tma_load_2d(target, &args.x, full, k, row);
    } else {
      constexpr u16 all_blocks = (1 << Config::cluster) - 1;
      ptx::tma_load_2d_multicast(target, &args.x, full, all_blocks, k, row);
    }
  }

  u32 stages_;
  Barriers barriers_;
  typename Barriers::Position position_;
};

}  // namespace moe_tune
