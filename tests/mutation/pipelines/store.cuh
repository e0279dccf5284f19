// Tiles stored by TMA from two staging buffers in turn: while one is being read, the next tile is written to the other.
// archs: sm_90a
//
// Warps 0 to 3 multiply and stage, lane 0 of warp 4 loads. Thread 0 issues the stores and waits for their reads; a barrier of the
// four warps tells the others. Shared memory: [two staging buffers][ring].
#pragma once

#include "ptx/bulk_copy.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "staging.cuh"

namespace moe_tune::study {

using NarrowRing = Ring<4, operand_bytes>;

MOE_DEVICE void load_tiles(const PipelineArgs& args, const NarrowRing& ring) {
  const int row_tiles = tiles_of(args.M, tile_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  RingPosition<NarrowRing::stages> position;
  for (int tile = static_cast<int>(ptx::block_index()); tile < tiles; tile += static_cast<int>(ptx::grid_size())) {
    for (int k = 0; k < args.K; k += block_k) {
      const u32 full = ring.full(position.stage);
      ring.wait_empty(position);
      ptx::mbarrier_arrive_expect_tx(full, NarrowRing::stage_bytes);
      ptx::tma_load_2d(ring.a(position.stage), &args.a, full, k, tile % row_tiles * tile_rows);
      ptx::tma_load_2d(ring.b(position.stage), &args.b, full, k, tile / row_tiles * tile_columns);
      position.advance();
    }
  }
}

MOE_DEVICE void multiply_tiles(const PipelineArgs& args, const NarrowRing& ring, u32 staging) {
  const bool stores = ptx::thread_index() == 0;
  const int row_tiles = tiles_of(args.M, tile_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  const auto release = [&](u32 stage) {
    if (ptx::lane_index() == 0) ptx::mbarrier_arrive(ring.empty(stage));
  };
  RingPosition<NarrowRing::stages> position;
  float acc[32];
  u32 buffer = staging;
  for (int tile = static_cast<int>(ptx::block_index()); tile < tiles; tile += static_cast<int>(ptx::grid_size())) {
    multiply_tile(acc, ring, position, tiles_of(args.K, block_k), 0, release);
    if (stores) ptx::bulk_wait_read<1>();  // the store of two tiles ago has read this buffer
    ptx::named_barrier<1, 128>();
    stage_tile(acc, buffer);
    ptx::fence_async_shared();
    ptx::named_barrier<2, 128>();
    if (stores) {
      ptx::tma_store_2d(&args.y_map, buffer, tile / row_tiles * tile_columns, tile % row_tiles * tile_rows);
      ptx::bulk_commit();
    }
    buffer = buffer == staging ? staging + staging_bytes : staging;
  }
  if (stores) ptx::bulk_wait_read<0>();  // shared memory goes with the block
}

}  // namespace moe_tune::study

MOE_KERNEL(160, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const u32 staging = ptx::shared_base();
  const study::NarrowRing ring{staging + 2 * study::staging_bytes};
  if (ptx::thread_index() == 0) ring.init(1, 4);
  ptx::block_barrier();
  if (ptx::thread_index() == 128) {
    study::load_tiles(args, ring);
  } else if (ptx::thread_index() < 128) {
    study::multiply_tiles(args, ring, staging);
  }
}
