// The gradient of weights, sm80 family (schedule/weights_problem.cuh). The sum of products runs over an expert's rows: tiles of
// an expert with many rows take longer, and one of an expert without rows stores zeros.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Persistent blocks and the mainloop of kernels/rows_sm80.cuh. Both operands lie in the ring as they lie in global memory, rows
// along the reduction (Slabs), and ldmatrix transposes them. Shared memory: [ring of stages][prefix sums of rows].
#pragma once

#include "epilogue/store_weights.cuh"
#include "mainloop/sm80_weights_producer.cuh"

namespace moe_tune {

template <class Problem, class Config, TileOrder Order>
struct WeightsSm80 {
  using Tiles = WeightTiles<Problem::E, Problem::N, Problem::K, Config::block_m, Config::block_n, Order>;
  using Multiply = Sm80Multiply<Config, Problem::type, /*ARowsAreK*/ true, /*BRowsAreK*/ true>;
  static constexpr int shared_bytes = Config::ring_bytes + Tiles::shared_bytes;

  static MOE_DEVICE void run(const abi::GroupedGemmArgs& args) {
    const u32 ring = ptx::shared_base();
    if (ptx::thread_index() < 32) Tiles::prepare(args, ring + Config::ring_bytes);
    ptx::block_barrier();
    const Tiles tiles(ring + Config::ring_bytes);
    if (ptx::block_index() >= tiles.count()) return;
    using Producer = Sm80WeightsProducer<Problem, Config, Tiles>;
    Producer producer(args, tiles);
    Sm80Pipeline<Config, Multiply, Producer> pipeline(ring, producer);
    Accumulators<Config> acc;
    // The producer may be several tiles ahead, those of few rows.
    for (u32 id = ptx::block_index(); id < tiles.count(); id += ptx::grid_size()) {
      const WeightTile tile = tiles.tile(id);
      pipeline.run_tile(acc, Problem::N - tile.tile_n * Config::block_m, (tile.rows + Config::block_k - 1) / Config::block_k);
      StoreWeights<Problem, Config, Multiply>::store(args, acc, tile);
    }
  }
};

}  // namespace moe_tune
