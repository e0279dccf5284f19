// Ping-pong: two consumer warpgroups on different tiles, one multiplies while the other stores, in an order that mbarriers keep.
// archs: sm_90a
//
// Warpgroup 0 loads the k-blocks of the block's tiles one after the other. Consumer w takes the tiles w, w + 2, ... of the block
// and skips the other's k-blocks in the ring. Two turns go round between the consumers. For the products: one has the tensor
// cores to itself, and nobody waits for a stage that is still a whole phase behind, which looks like one that is full. For the
// one staging buffer: nobody writes it while a store reads it.
//
//     consumer 0   products t0 | stage, store t0 | products t2 ...
//     consumer 1               | products t1     | stage, store t1 ...
#pragma once

#include "ptx/bulk_copy.cuh"
#include "ptx/registers.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "staging.cuh"

namespace moe_tune::study {

using NarrowRing = Ring<4, operand_bytes>;

/// Shared memory: [staging][ring][turns for the products][turns for the staging buffer].
struct Turns {
  u32 base;
  MOE_DEVICE u32 products(u32 consumer) const { return base + consumer * 8; }
  MOE_DEVICE u32 staging(u32 consumer) const { return base + 16 + consumer * 8; }
};

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

template <u32 Consumer>
MOE_DEVICE void multiply_tiles(const PipelineArgs& args, const NarrowRing& ring, const Turns& turns, u32 staging) {
  const bool stores = ptx::thread_index() % 128 == 0;
  const int k_blocks = tiles_of(args.K, block_k);
  const int row_tiles = tiles_of(args.M, tile_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  const int grid = static_cast<int>(ptx::grid_size());
  const auto arrive_once_per_warp = [&](u32 mbarrier) {
    if (ptx::lane_index() == 0) ptx::mbarrier_arrive(mbarrier);
  };
  RingPosition<NarrowRing::stages> position;
  if (Consumer == 1) position.advance(static_cast<u32>(k_blocks));
  u32 turn = 1 - Consumer;  // consumer 0 begins: the phase before the first counts as over
  float acc[32];
  for (int tile = static_cast<int>(ptx::block_index()) + static_cast<int>(Consumer) * grid; tile < tiles; tile += 2 * grid) {
    ptx::mbarrier_wait(turns.products(Consumer), turn);
    multiply_tile(acc, ring, position, k_blocks, 0, [&](u32 stage) { arrive_once_per_warp(ring.empty(stage)); });
    arrive_once_per_warp(turns.products(1 - Consumer));
    position.advance(static_cast<u32>(k_blocks));  // the other's tile

    ptx::mbarrier_wait(turns.staging(Consumer), turn);
    stage_tile(acc, staging);
    ptx::fence_async_shared();
    ptx::named_barrier<1 + Consumer, 128>();
    if (stores) {
      ptx::tma_store_2d(&args.y_map, staging, tile / row_tiles * tile_columns, tile % row_tiles * tile_rows);
      ptx::bulk_commit();
      ptx::bulk_wait_read<0>();
      ptx::mbarrier_arrive(turns.staging(1 - Consumer));
    }
    turn ^= 1u;
  }
}

}  // namespace moe_tune::study

MOE_KERNEL(384, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const u32 staging = ptx::shared_base();
  const study::NarrowRing ring{staging + study::staging_bytes};
  const study::Turns turns{ring.base + study::NarrowRing::bytes};
  if (ptx::thread_index() == 0) {
    for (u32 consumer = 0; consumer < 2; ++consumer) {
      ptx::mbarrier_init(turns.products(consumer), 4);
      ptx::mbarrier_init(turns.staging(consumer), 1);
    }
    ring.init(1, 4);
  }
  ptx::block_barrier();
  if (ptx::thread_index() < 128) {
    ptx::decrease_registers<40>();
    if (ptx::thread_index() == 0) study::load_tiles(args, ring);
  } else if (ptx::thread_index() < 256) {
    ptx::increase_registers<232>();
    study::multiply_tiles<0>(args, ring, turns, staging);
  } else {
    ptx::increase_registers<232>();
    study::multiply_tiles<1>(args, ring, turns, staging);
  }
}
