// The gradient of weights, sm90 family (schedule/weights_problem.cuh). Both operands are rows in expert order, and the sum of
// products runs over the rows: tiles of an expert with many rows take longer, and one of an expert without rows stores zeros.
// archs: sm_90a
//
// Persistent, warp-specialised blocks like those of kernels/rows_sm90.cuh: consumer warpgroups first, then a warpgroup of which
// warp 0 loads boxes of both operands and warp 1 hands out tiles. Both operands lie in the ring as they lie in global memory, a
// line for each row; the tensor cores read them along the other side (mainloop/sm90_operand.cuh).
//
// Shared memory: [ring][staging of each consumer][prefix sums][tile slots, mbarriers][ring mbarriers][turns][old blocks'
// mbarriers]
#pragma once

#include "epilogue/staged_weights.cuh"
#include "kernels/dispatch_rows.cuh"
#include "mainloop/ring.cuh"
#include "mainloop/side_boxes.cuh"
#include "ptx/registers.cuh"
#include "schedule/tile_feed.cuh"
#include "schedule/weights_problem.cuh"

namespace moe_tune {

template <class Problem, class Config, TileOrder Order>
class WeightsSm90 {
  using Operands = WeightOperands<Problem, Config>;
  using YBoxes = SideBoxes<Problem::N, Config::block_m, Config::block_k>;
  using XBoxes = SideBoxes<Problem::K, Config::block_n, Config::block_k>;
  using Multiply = Sm90Multiply<Operands, Config, /*WrittenByThreads*/ false>;
  using Accumulators = Sm90Accumulators<Config>;
  using Tiles = WeightTiles<Problem::E, Problem::N, Problem::K, Config::block_m, Config::block_n, Order>;
  using Barriers = RingBarriers<Config::stages>;
  using Feed = TileFeed<Config, /*Readers*/ 1 + 4 * Config::consumers, WeightTile>;

  static constexpr u32 staging_offset = Config::stages * Config::stage_bytes;
  static constexpr u32 staging_bytes = Config::consumers * StagedWeights<Problem, Config, 1>::staging_bytes;
  static constexpr u32 prefix_bytes = (Tiles::shared_bytes + 15) / 16 * 16;
  static constexpr u32 other_bytes = prefix_bytes + Feed::bytes + Barriers::bytes + 6 * 8;
  static constexpr u32 most_bytes = 228 * 1024 / Config::ctas_per_sm - 1024;  // of a block
  static constexpr int buffers = staging_offset + 2 * staging_bytes + other_bytes <= most_bytes ? 2 : 1;
  using Epilogue = StagedWeights<Problem, Config, buffers>;
  static constexpr u32 prefix_offset = staging_offset + buffers * staging_bytes;
  static constexpr u32 feed_offset = prefix_offset + prefix_bytes;
  static constexpr u32 barrier_offset = feed_offset + Feed::bytes;
  static constexpr u32 turn_offset = barrier_offset + Barriers::bytes;
  static_assert(!Config::swapped && Config::cluster == 1);

 public:
  static constexpr u32 shared_bytes = turn_offset + 6 * 8;

  static MOE_DEVICE void run(const abi::WeightsSm90Args& args) {
    const u32 shared = ptx::shared_base();
    const Barriers barriers{shared + barrier_offset};
    Feed feed(shared + feed_offset);
    if (ptx::thread_index() == 0) {
      feed.init();
      barriers.init(1, 4 * Config::consumers_of_tile);
      for (u32 consumer = 0; consumer < 2; ++consumer) {
        ptx::mbarrier_init(product_turn(shared, consumer), 4);
        for (u32 buffer = 0; buffer < 2; ++buffer) ptx::mbarrier_init(old_blocks(shared, consumer) + buffer * 8, 1);
      }
      ptx::fence_mbarrier_init();
    }
    ptx::block_barrier();

    constexpr bool moves_registers = Config::consumers == 2 && Config::ctas_per_sm == 1;
    constexpr u32 producers = 128 * Config::consumers;
    if (ptx::thread_index() >= producers) {
      if constexpr (moves_registers) ptx::decrease_registers<40>();
      const u32 warp = (ptx::thread_index() - producers) / 32;
      if (warp == 0) {
        load(args, feed, shared);
      } else if (warp == 1) {
        Tiles::prepare(args.gemm, shared + prefix_offset);
        ptx::warp_barrier();
        feed.feed(Tiles(shared + prefix_offset), args.queue);
      }
    } else {
      if constexpr (moves_registers) ptx::increase_registers<232>();
      consume(args, feed, shared);
    }
  }

 private:
  static MOE_DEVICE u32 product_turn(u32 shared, u32 consumer) { return shared + turn_offset + consumer * 8; }
  static MOE_DEVICE u32 old_blocks(u32 shared, u32 consumer) { return shared + turn_offset + 16 + consumer * 16; }
  static MOE_DEVICE u32 k_blocks(const WeightTile& tile) { return static_cast<u32>(Config::k_blocks(tile.rows)); }

  static MOE_DEVICE void load(const abi::WeightsSm90Args& args, Feed& feed, u32 shared) {
    if (args.gemm.M > 0) {  // else there are none
      ptx::prefetch_tensor_map(&args.x);
      ptx::prefetch_tensor_map(&args.y);
    }
    const Barriers barriers{shared + barrier_offset};
    typename Barriers::Position position;
    for (WeightTile tile = feed.next(); tile.exists(); tile = feed.next()) {
      if (ptx::lane_index() == 0) load_tile(args, tile, shared, barriers, position);
      ptx::warp_barrier();
    }
  }

  /// All k-blocks of a tile. By one thread.
  static MOE_DEVICE void load_tile(const abi::WeightsSm90Args& args, const WeightTile& tile, u32 shared, const Barriers& barriers,
                                   typename Barriers::Position& position) {
    const int n = tile.tile_n * Config::block_m;
    const int k = tile.tile_k * Config::block_n;
    const u32 bytes = YBoxes::bytes(n) + XBoxes::bytes(k);
    MOE_NO_UNROLL
    for (int done = 0; done < tile.rows; done += Config::block_k) {
      const int left = tile.rows - done;
      const int rows = left < Config::block_k ? left : Config::block_k;
      const int end = tile.row + done + rows;
      const u32 full = barriers.full(position.stage);
      const u32 stage = shared + position.stage * Config::stage_bytes;
      barriers.wait_empty(position);
      ptx::mbarrier_arrive_expect_tx(full, bytes);
      YBoxes::load(stage + Operands::a_offset, &args.y, full, n, Config::block_k - rows, end);
      XBoxes::load(stage + Operands::b_offset, &args.x, full, k, Config::block_k - rows, end);
      position.advance();
    }
  }

  static MOE_DEVICE void consume(const abi::WeightsSm90Args& args, Feed& feed, u32 shared) {
    const u32 consumer = ptx::thread_index() / 128;
    const u32 staging = shared + staging_offset + consumer * buffers * Epilogue::staging_bytes;
    Multiply multiply(shared, {shared + barrier_offset}, consumer);
    Epilogue epilogue(args, staging, old_blocks(shared, consumer));
    if (Config::ping_pong && consumer == 1) {
      const WeightTile others = feed.next();
      if (!others.exists()) return;
      multiply.skip(k_blocks(others));
    }
    u32 turn = 0;
    for (WeightTile tile = feed.next(); tile.exists(); tile = feed.next()) {
      epilogue.prepare(tile);
      // Consumer 0 begins: the phase before the first counts as over.
      if constexpr (Config::ping_pong) ptx::mbarrier_wait(product_turn(shared, consumer), turn % 2 ^ (1 - consumer));
      const auto pass_turn = [&] {
        if constexpr (!Config::ping_pong) return;
        ptx::warp_barrier();  // without products nothing else has made sure that every lane has seen the turn come
        if (ptx::lane_index() == 0) ptx::mbarrier_arrive(product_turn(shared, 1 - consumer));
      };
      Accumulators acc;
      multiply.template run<Config::m_blocks, Config::block_n>(acc, k_blocks(tile), pass_turn);
      epilogue.store(acc, tile, turn);
      ++turn;
      if constexpr (Config::ping_pong) {
        const WeightTile others = feed.next();
        if (!others.exists()) break;
        multiply.skip(k_blocks(others));
      }
    }
    epilogue.finish();
  }
};

}  // namespace moe_tune
