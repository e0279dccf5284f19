// Token rows with their experts' weights, sm80 family: forward and dX (schedule/rows_problem.cuh).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Persistent blocks walk the tiles of schedule/expert_tiles.cuh; mainloop/sm80_multistage.cuh says how a tile is computed and
// how the pipeline runs on across tiles. Shared memory: [ring of stages][prefix sums of rows and tiles].
#pragma once

#include "epilogue/store_rows.cuh"
#include "mainloop/sm80_producer.cuh"

namespace moe_tune {

template <class Problem, class Config, TileOrder Order>
struct RowsSm80 {
  using Schedule = ExpertTiles<Problem::E, Problem::N, Config::block_m, Config::block_n, Order>;
  using Multiply = Sm80Multiply<Config, Problem::type, /*ARowsAreK*/ false, Problem::weight_rows_are_k>;
  static constexpr int shared_bytes = Config::ring_bytes + Schedule::shared_bytes;

  static MOE_DEVICE void run(const abi::GroupedGemmArgs& args) {
    const u32 ring = ptx::shared_base();
    if (ptx::thread_index() < 32) Schedule::prepare(args, ring + Config::ring_bytes);
    ptx::block_barrier();
    const Schedule schedule(ring + Config::ring_bytes);
    if (ptx::block_index() >= schedule.count()) return;
    using Producer = Sm80Producer<Problem, Config, Schedule>;
    Producer producer(args, schedule);
    Sm80Pipeline<Config, Multiply, Producer> pipeline(ring, producer);
    StoreRows<Problem, Config, Multiply> epilogue(args);
    Accumulators<Config> acc;
    while (producer.live()) {
      const Tile tile = producer.tile();
      epilogue.prefetch(tile);
      pipeline.run_tile(acc, tile.rows, Config::k_blocks(Problem::K));
      epilogue.store(acc, tile);
    }
  }
};

}  // namespace moe_tune
