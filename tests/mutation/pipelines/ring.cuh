// A warp-specialised ring: one thread loads by TMA, two warpgroups multiply, mbarriers between them, several tiles per block.
// archs: sm_90a
//
// Warpgroup 0 loads and gives its registers to warpgroups 1 and 2; warpgroup 1 + w multiplies rows 64 w .. 64 w + 63 of a
// 128 x 64 tile. A stage is empty when the eight consumer warps have arrived.
#pragma once

#include "matrix_tile.cuh"
#include "ptx/registers.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"

namespace moe_tune::study {

using WideRing = Ring<3, 2 * operand_bytes>;
inline constexpr int block_rows = 2 * tile_rows;

MOE_DEVICE void load_tiles(const PipelineArgs& args, const WideRing& ring) {
  const int row_tiles = tiles_of(args.M, block_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  RingPosition<WideRing::stages> position;
  for (int tile = static_cast<int>(ptx::block_index()); tile < tiles; tile += static_cast<int>(ptx::grid_size())) {
    for (int k = 0; k < args.K; k += block_k) {
      const u32 full = ring.full(position.stage);
      ring.wait_empty(position);
      ptx::mbarrier_arrive_expect_tx(full, WideRing::stage_bytes);
      ptx::tma_load_2d(ring.a(position.stage), &args.a, full, k, tile % row_tiles * block_rows);
      ptx::tma_load_2d(ring.b(position.stage), &args.b, full, k, tile / row_tiles * tile_columns);
      position.advance();
    }
  }
}

MOE_DEVICE void multiply_tiles(const PipelineArgs& args, const WideRing& ring) {
  const u32 consumer = ptx::thread_index() / 128 - 1;
  const int row_tiles = tiles_of(args.M, block_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  const auto release = [&](u32 stage) {
    if (ptx::lane_index() == 0) ptx::mbarrier_arrive(ring.empty(stage));
  };
  RingPosition<WideRing::stages> position;
  float acc[32];
  for (int tile = static_cast<int>(ptx::block_index()); tile < tiles; tile += static_cast<int>(ptx::grid_size())) {
    multiply_tile(acc, ring, position, tiles_of(args.K, block_k), consumer * operand_bytes, release);
    store_tile(acc, args, tile % row_tiles * block_rows + static_cast<int>(consumer) * tile_rows,
               tile / row_tiles * tile_columns);
  }
}

}  // namespace moe_tune::study

MOE_KERNEL(384, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const study::WideRing ring{ptx::shared_base()};
  if (ptx::thread_index() == 0) ring.init(1, 8);
  ptx::block_barrier();
  if (ptx::thread_index() < 128) {
    ptx::decrease_registers<40>();
    if (ptx::thread_index() == 0) study::load_tiles(args, ring);
  } else {
    ptx::increase_registers<232>();
    study::multiply_tiles(args, ring);
  }
}
