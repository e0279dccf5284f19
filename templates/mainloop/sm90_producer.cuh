// The copies of a forward kernel of the sm90 family, from global memory to the ring: boxes of weights and of token rows by TMA,
// or with Gather::in_kernel token rows one 16-byte chunk at a time by the threads of two warps.
// archs: sm_90a
//
// In a cluster all blocks multiply the same token rows with different weights. The boxes of tokens are dealt out to the blocks;
// each loads its boxes for all. So a block writes into the others' stages: it waits until the readers of all blocks are done with
// theirs, and each block announces all the bytes that its own stage gets.
#pragma once

#include "abi/forward_sm90.cuh"
#include "mainloop/ring.cuh"
#include "mainloop/sm90_config.cuh"
#include "ptx/cluster.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "ptx/tma.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/forward_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

template <class Problem, class Config>
class Sm90Producer {
  using Barriers = RingBarriers<Config::stages>;
  static constexpr int k_blocks = (Problem::K + Config::block_k - 1) / Config::block_k;
  static constexpr int box_rows = Config::block_m % 32 == 0 ? 32 : 16;  // of tokens
  static constexpr u32 box_bytes = box_rows * sm90_row_bytes;
  static constexpr u32 w_bytes = Config::k_slices * Config::w_slice_bytes;

 public:
  /// Does Gather::in_kernel apply?
  static constexpr bool gathers = Problem::permute_x && Config::gathers;
  static constexpr int gather_threads = Problem::fuse_mul_pre ? 32 : 64;  // one warp is left for the row tables
  /// Arrivals at a full mbarrier: the thread that announces bytes, and the threads whose copies are counted.
  static constexpr u32 full_arrivals = 1 + (gathers ? gather_threads : 0);

  MOE_DEVICE Sm90Producer(u32 stages, Barriers barriers) : stages_(stages), barriers_(barriers) {}

  /// Loads all k-blocks of a tile. By one thread.
  MOE_DEVICE void load(const abi::ForwardSm90Args& args, const Tile& tile) {
    const u32 rank = Config::cluster == 1 ? 0 : ptx::cluster_rank();
    const int boxes = (tile.rows + box_rows - 1) / box_rows;
    const u32 bytes = w_bytes + (gathers ? 0 : static_cast<u32>(boxes) * Config::k_slices * box_bytes);
    MOE_NO_UNROLL
    for (int k_block = 0; k_block < k_blocks; ++k_block) {
      const u32 full = barriers_.full(position_.stage);
      const u32 stage = stages_ + position_.stage * Config::stage_bytes;
      barriers_.wait_empty(position_);
      ptx::mbarrier_arrive_expect_tx(full, bytes);
      MOE_UNROLL
      for (int slice = 0; slice < Config::k_slices; ++slice) {
        const int k = k_block * Config::block_k + slice * sm90_k;
        load_weights(args, stage + slice * Config::w_slice_bytes, full, k, tile);
        if constexpr (!gathers) {
          const u32 x = stage + Config::x_offset + slice * Config::x_slice_bytes;
          for (int box = static_cast<int>(rank); box < boxes; box += Config::cluster) {
            load_tokens(args, x + static_cast<u32>(box) * box_bytes, full, k, tile.row + box * box_rows);
          }
        }
      }
      position_.advance();
    }
  }

  /// Gathers the token rows of all k-blocks of a tile. By gather_threads threads, `thread` of them the calling one; `table` is
  /// shared memory for a word per row.
  MOE_DEVICE void gather(const abi::GroupedGemmArgs& args, const Tile& tile, u32 table, u32 thread) {
    constexpr int barrier = 1;
    const int rows = (tile.rows + 15) / 16 * 16;    // what is multiplied; missing ones are zeros
    ptx::named_barrier<barrier, gather_threads>();  // the table of the tile before has been read
    for (int row = static_cast<int>(thread); row < rows; row += gather_threads) {
      const int slot = row < tile.rows ? load_slot(args, tile.row + row) : -1;
      ptx::store_shared(table + static_cast<u32>(row) * 4, slot < 0 ? -1 : slot / Problem::top_k);
    }
    ptx::named_barrier<barrier, gather_threads>();

    const u32 chunk = thread % 8;
    const char* x = static_cast<const char*>(args.x) + chunk * 16;
    MOE_NO_UNROLL
    for (int k_block = 0; k_block < k_blocks; ++k_block) {
      barriers_.wait_empty(position_);
      const u32 stage = stages_ + position_.stage * Config::stage_bytes + Config::x_offset;
      MOE_NO_UNROLL
      for (int row = static_cast<int>(thread / 8); row < rows; row += gather_threads / 8) {
        const int token = ptx::load_shared(table + static_cast<u32>(row) * 4);
        const u64 source = reinterpret_cast<u64>(x) + static_cast<u64>(static_cast<i64>(token) * args.x_row_bytes);
        MOE_UNROLL
        for (int slice = 0; slice < Config::k_slices; ++slice) {
          const int k = k_block * Config::block_k + slice * sm90_k;
          const bool valid = token >= 0 && k + static_cast<int>(chunk) * 8 < Problem::K;
          const u32 target = stage + slice * Config::x_slice_bytes + static_cast<u32>(row) * sm90_row_bytes +
                             ((chunk ^ static_cast<u32>(row) % 8) << 4);
          ptx::cp_async_16<0>(target, source + static_cast<u64>(k) * 2, valid);
        }
      }
      ptx::cp_async_mbarrier_arrive_noinc(barriers_.full(position_.stage));
      position_.advance();
    }
  }

 private:
  static MOE_DEVICE void load_weights(const abi::ForwardSm90Args& args, u32 target, u32 full, int k, const Tile& tile) {
    if constexpr (Problem::fuse_swiglu) {
      // Gate rows, then the up rows that belong to them: pairs meet in the registers of one thread.
      constexpr int half = Config::block_n / 2;
      ptx::tma_load_3d(target, &args.w, full, k, tile.n / 2, tile.expert);
      ptx::tma_load_3d(target + half * sm90_row_bytes, &args.w, full, k, Problem::N / 2 + tile.n / 2, tile.expert);
    } else {
      ptx::tma_load_3d(target, &args.w, full, k, tile.n, tile.expert);
    }
  }

  static MOE_DEVICE void load_tokens(const abi::ForwardSm90Args& args, u32 target, u32 full, int k, int row) {
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
