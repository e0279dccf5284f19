// Gather::in_kernel: the threads of one or two warps copy token rows from where they lie to the ring, 16 bytes at a time.
// archs: sm_90a
//
// In a cluster of two each block gathers half of a tile's rows and, when they have landed, sends them on to the other block's
// stage:
//
//     wait empty   cp.async own rows of k-block k   k-block k - lag has landed: arrive at full, copy to the other block
//                                                                                   └─▶ completes bytes at its full
//
// Both blocks see every row cross the L2 once, as with a multicast. A stage is empty when the readers of both blocks are done
// with theirs: then what was sent has arrived as well, and its source may be overwritten.
#pragma once

#include "abi/grouped_gemm.cuh"
#include "mainloop/ring.cuh"
#include "mainloop/sm90_config.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/cluster.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/fence.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/rows_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

/// Some consecutive rows of a tile.
struct TileRows {
  int first;
  int count;
};

template <class Problem, class Config>
class RowGatherer {
  using Barriers = RingBarriers<Config::stages>;
  static constexpr int k_blocks = Config::k_blocks(Problem::K);
  // K-blocks that are copied before the first is sent on. Two stages are left for the consumers: they give one back when they
  // have the next.
  static constexpr int lag = Config::stages >= 4 ? 2 : Config::stages - 2;

 public:
  static constexpr int threads = Problem::fuse_mul_pre ? 32 : 64;  // one warp is left for the row tables
  static constexpr u32 table_bytes = Config::block_m * 4;
  /// At the full mbarrier of a stage.
  static constexpr u32 arrivals = Config::cluster == 1 ? threads : 1;

  /// The rows that the block of a rank gathers. What is multiplied is a multiple of 16; missing rows are zeros.
  static MOE_DEVICE TileRows part_of(const Tile& tile, u32 rank) {
    const int rows = (tile.rows + 15) / 16 * 16;
    if constexpr (Config::cluster == 1) return {0, rows};
    const int half = (rows / 2 + 7) / 8 * 8;
    return rank == 0 ? TileRows{0, half} : TileRows{half, rows - half};
  }

  /// `table`: shared memory for a word per row.
  MOE_DEVICE RowGatherer(u32 stages, Barriers barriers, u32 table)
      : stages_(stages), barriers_(barriers), table_(table), rank_(Config::cluster == 1 ? 0 : ptx::cluster_rank()) {}

  /// Gathers the rows of all tiles; next() gives them. By `threads` threads.
  template <class Next>
  MOE_DEVICE void run(const abi::GroupedGemmArgs& args, const Next& next) {
    Tile tile = next();
    int tokens[per_thread];
    load_tokens(args, tile, tokens);
    while (tile.rows > 0) {
      ptx::named_barrier<gather_barrier, threads>();  // the tokens of the tile before have been read
      store_tokens(tile, tokens);
      ptx::named_barrier<gather_barrier, threads>();
      // The next tile's tokens are on their way while this one's rows are.
      const Tile following = next();
      load_tokens(args, following, tokens);
      gather(args, part_of(tile, rank_));
      tile = following;
    }
  }

 private:
  static constexpr int rows_at_once = threads / 8;
  static constexpr int per_thread = (Config::block_m + threads - 1) / threads;

  static MOE_DEVICE int thread() { return static_cast<int>(ptx::thread_index()) % threads; }

  MOE_DEVICE void load_tokens(const abi::GroupedGemmArgs& args, const Tile& tile, int (&tokens)[per_thread]) const {
    const TileRows part = part_of(tile, rank_);
    MOE_UNROLL
    for (int i = 0; i < per_thread; ++i) {
      const int row = thread() + i * threads;
      tokens[i] = -1;
      if (row >= part.count || part.first + row >= tile.rows) continue;
      const int slot = load_slot(args, tile.row + part.first + row);
      if (slot >= 0) tokens[i] = slot / Problem::slots_per_row;
    }
  }

  MOE_DEVICE void store_tokens(const Tile& tile, const int (&tokens)[per_thread]) const {
    const TileRows part = part_of(tile, rank_);
    MOE_UNROLL
    for (int i = 0; i < per_thread; ++i) {
      const int row = thread() + i * threads;
      if (row < part.count) ptx::store_shared(table_ + static_cast<u32>(row) * 4, tokens[i]);
    }
  }

  MOE_DEVICE void gather(const abi::GroupedGemmArgs& args, const TileRows& part) {
    RingPosition<Config::stages> landed = position_;
    MOE_NO_UNROLL
    for (int k_block = 0; k_block < k_blocks; ++k_block) {
      barriers_.wait_empty(position_);
      copy(args, part, k_block);
      if constexpr (Config::cluster == 1) {
        ptx::cp_async_mbarrier_arrive_noinc(barriers_.full(position_.stage));
      } else {
        ptx::cp_async_commit();
        if (k_block >= lag) {
          ptx::cp_async_wait<lag>();
          send(part, landed.stage);
          landed.advance();
        }
      }
      position_.advance();
    }
    if constexpr (Config::cluster > 1) {
      ptx::cp_async_wait<0>();
      for (; landed.stage != position_.stage; landed.advance()) send(part, landed.stage);
    }
  }

  MOE_DEVICE u32 rows_address(u32 stage, int slice, int row) const {
    return stages_ + stage * Config::stage_bytes + Config::x_offset + static_cast<u32>(slice) * Config::x_slice_bytes +
           static_cast<u32>(row) * sm90_row_bytes;
  }

  /// Starts copying the rows' part of a k-block.
  MOE_DEVICE void copy(const abi::GroupedGemmArgs& args, const TileRows& part, int k_block) const {
    // Tokens are read some at a time before they are used. part_of() gives a multiple of few * rows_at_once rows.
    constexpr int few = (Config::cluster == 1 ? 16 : 8) / rows_at_once;
    constexpr int many = 8;
    int row = 0;
    MOE_NO_UNROLL
    for (; row + many * rows_at_once <= part.count; row += many * rows_at_once) copy_rows<many>(args, part, row, k_block);
    MOE_NO_UNROLL
    for (; row < part.count; row += few * rows_at_once) copy_rows<few>(args, part, row, k_block);
  }

  /// The same of Count rows for each thread: 8 threads copy a row. `row` is a multiple of rows_at_once.
  template <int Count>
  MOE_DEVICE void copy_rows(const abi::GroupedGemmArgs& args, const TileRows& part, int row, int k_block) const {
    const u32 chunk = static_cast<u32>(thread()) % 8;
    const int first = row + thread() / 8;
    int tokens[Count];
    MOE_UNROLL
    for (int i = 0; i < Count; ++i) tokens[i] = ptx::load_shared(table_ + static_cast<u32>(first + i * rows_at_once) * 4);
    MOE_UNROLL
    for (int slice = 0; slice < Config::k_slices; ++slice) {
      const int k = k_block * Config::block_k + slice * sm90_k + static_cast<int>(chunk) * 8;
      const bool in_k = Problem::K % Config::block_k == 0 || k < Problem::K;
      const u64 x = reinterpret_cast<u64>(args.x) + static_cast<u64>(k) * 2;
      MOE_UNROLL
      for (int i = 0; i < Count; ++i) {
        const u32 tile_row = static_cast<u32>(part.first + first + i * rows_at_once);
        const u64 source = x + static_cast<u64>(static_cast<i64>(tokens[i]) * args.x_row_bytes);
        ptx::cp_async_16<0>(
            rows_address(position_.stage, slice, part.first + first + i * rows_at_once) + ((chunk ^ tile_row % 8) << 4), source,
            in_k && tokens[i] != -1);
      }
    }
  }

  /// Passes rows that have landed on: to this block's readers, and to the other block.
  MOE_DEVICE void send(const TileRows& part, u32 stage) const {
    ptx::fence_async_shared();
    ptx::named_barrier<gather_barrier, threads>();
    if (thread() == 0) {
      const u32 full = barriers_.full(stage);
      ptx::mbarrier_arrive(full);
      const u32 other = 1 - rank_;
      MOE_UNROLL
      for (int slice = 0; slice < Config::k_slices; ++slice) {
        const u32 rows = rows_address(stage, slice, part.first);
        ptx::bulk_copy_to_cluster(ptx::map_to_rank(rows, other), rows, static_cast<u32>(part.count) * sm90_row_bytes,
                                  ptx::map_to_rank(full, other));
      }
    }
    ptx::warp_barrier();  // the next barrier wants whole warps
  }

  u32 stages_;
  Barriers barriers_;
  u32 table_;
  u32 rank_;
  RingPosition<Config::stages> position_;
};

}  // namespace moe_tune
