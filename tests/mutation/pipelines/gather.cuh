// Rows of A gathered by cp.async, B by TMA, both announced at one mbarrier: row r of A is row indices[r] of x, zeros where that
// is no row of x. archs: sm_90a
//
// Threads 0 to 127 copy: thread t moves chunk t % 8 of the rows t / 8 + 16 i of each stage. A stage is full when the copies of
// all 128 have arrived and the bytes of B have landed. What cp.async wrote is of the generic proxy: the consumers fence.
#pragma once

#include "matrix_tile.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"

namespace moe_tune::study {

using GatherRing = Ring<4, operand_bytes, true>;
inline constexpr int chunks_per_row = 8;
inline constexpr int rows_per_pass = 128 / chunks_per_row;
inline constexpr int passes = tile_rows / rows_per_pass;

MOE_DEVICE void load_tiles(const PipelineArgs& args, const GatherRing& ring) {
  const int thread = static_cast<int>(ptx::thread_index());
  const int chunk = thread % chunks_per_row;
  const int row_tiles = tiles_of(args.M, tile_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  RingPosition<GatherRing::stages> position;
  for (int tile = static_cast<int>(ptx::block_index()); tile < tiles; tile += static_cast<int>(ptx::grid_size())) {
    u64 sources[passes];  // this thread's chunk of the row; 0: zeros
    MOE_UNROLL
    for (int i = 0; i < passes; ++i) {
      const int row = tile % row_tiles * tile_rows + thread / chunks_per_row + i * rows_per_pass;
      const int index = row < args.M ? ptx::load_constant(args.indices + row) : -1;
      const bool exists = static_cast<u32>(index) < static_cast<u32>(args.tokens);
      sources[i] = exists ? reinterpret_cast<u64>(args.x) + static_cast<u64>(index) * args.K * 2 + chunk * 16 : 0;
    }
    for (int k = 0; k < args.K; k += block_k) {
      const u32 full = ring.full(position.stage);
      ring.wait_empty(position);
      if (thread == 0) {
        ptx::mbarrier_arrive_expect_tx(full, operand_bytes);
        ptx::tma_load_2d(ring.b(position.stage), &args.b, full, k, tile / row_tiles * tile_columns);
      }
      const bool inside = k + chunk * 8 < args.K;
      MOE_UNROLL
      for (int i = 0; i < passes; ++i) {
        const u32 row = static_cast<u32>(thread / chunks_per_row + i * rows_per_pass);
        const u32 offset = row * row_bytes + ((static_cast<u32>(chunk) ^ (row & 7u)) << 4);
        ptx::cp_async_16<0>(ring.a(position.stage) + offset, sources[i] + k * 2, inside && sources[i] != 0);
      }
      ptx::cp_async_mbarrier_arrive_noinc(full);
      position.advance();
    }
  }
}

MOE_DEVICE void multiply_tiles(const PipelineArgs& args, const GatherRing& ring) {
  const int row_tiles = tiles_of(args.M, tile_rows);
  const int tiles = row_tiles * tiles_of(args.N, tile_columns);
  const auto release = [&](u32 stage) {
    if (ptx::lane_index() == 0) ptx::mbarrier_arrive(ring.empty(stage));
  };
  RingPosition<GatherRing::stages> position;
  float acc[32];
  for (int tile = static_cast<int>(ptx::block_index()); tile < tiles; tile += static_cast<int>(ptx::grid_size())) {
    multiply_tile(acc, ring, position, tiles_of(args.K, block_k), 0, release);
    store_tile(acc, args, tile % row_tiles * tile_rows, tile / row_tiles * tile_columns);
  }
}

}  // namespace moe_tune::study

MOE_KERNEL(256, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const study::GatherRing ring{ptx::shared_base()};
  if (ptx::thread_index() == 0) ring.init(128 + 1, 4);
  ptx::block_barrier();
  if (ptx::thread_index() < 128) {
    study::load_tiles(args, ring);
  } else {
    study::multiply_tiles(args, ring);
  }
}
