// Clusters of two blocks that share the columns of a tile: each loads half of B and multicasts it to both.
// archs: sm_90a
//
// Tile of a cluster: 128 x 64, block r has the rows 64 r .. 64 r + 63. A stage of a block is filled by its own producer (A, half
// of B) and by the other's (the other half), and both producers write to both blocks: so a stage is empty when the consumer warps
// of both blocks are done with theirs, and each consumer warp arrives at both. No block ends before the other: arrivals and
// multicasts may still be on their way to it.
#pragma once

#include "matrix_tile.cuh"
#include "ptx/cluster.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"

namespace moe_tune::study {

using NarrowRing = Ring<4, operand_bytes>;
inline constexpr int cluster_blocks = 2;
inline constexpr int cluster_rows = cluster_blocks * tile_rows;
inline constexpr u16 all_blocks = (1 << cluster_blocks) - 1;

MOE_DEVICE void load_tiles(const PipelineArgs& args, const NarrowRing& ring) {
  const int rank = static_cast<int>(ptx::cluster_rank());
  const int row_tiles = tiles_of(args.M, cluster_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  const int half = tile_columns / cluster_blocks;
  RingPosition<NarrowRing::stages> position;
  for (int tile = static_cast<int>(ptx::cluster_index()); tile < tiles; tile += static_cast<int>(ptx::cluster_count())) {
    for (int k = 0; k < args.K; k += block_k) {
      const u32 full = ring.full(position.stage);
      ring.wait_empty(position);
      ptx::mbarrier_arrive_expect_tx(full, NarrowRing::stage_bytes);
      ptx::tma_load_2d(ring.a(position.stage), &args.a, full, k, tile % row_tiles * cluster_rows + rank * tile_rows);
      ptx::tma_load_2d_multicast(ring.b(position.stage) + static_cast<u32>(rank * half) * row_bytes, &args.b, full, all_blocks, k,
                                 tile / row_tiles * tile_columns + rank * half);
      position.advance();
    }
  }
}

MOE_DEVICE void multiply_tiles(const PipelineArgs& args, const NarrowRing& ring) {
  const int rank = static_cast<int>(ptx::cluster_rank());
  const int row_tiles = tiles_of(args.M, cluster_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  const auto release = [&](u32 stage) {
    const u32 lane = ptx::lane_index();
    if (lane < cluster_blocks) ptx::mbarrier_arrive_cluster_relaxed(ptx::map_to_rank(ring.empty(stage), lane));
  };
  RingPosition<NarrowRing::stages> position;
  float acc[32];
  for (int tile = static_cast<int>(ptx::cluster_index()); tile < tiles; tile += static_cast<int>(ptx::cluster_count())) {
    multiply_tile(acc, ring, position, tiles_of(args.K, block_k), 0, release);
    store_tile(acc, args, tile % row_tiles * cluster_rows + rank * tile_rows, tile / row_tiles * tile_columns);
  }
}

}  // namespace moe_tune::study

MOE_KERNEL(160, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const study::NarrowRing ring{ptx::shared_base()};
  if (ptx::thread_index() == 0) ring.init(1, 4 * study::cluster_blocks);
  ptx::cluster_arrive_relaxed();  // the fence in init() has released
  ptx::cluster_wait();
  if (ptx::thread_index() == 128) {
    study::load_tiles(args, ring);
  } else if (ptx::thread_index() < 128) {
    study::multiply_tiles(args, ring);
  }
  ptx::warp_barrier();  // the loading lane and the rest of its warp
  ptx::cluster_barrier();
}
