// Token rows with their experts' weights, sm90 family: forward and dX (schedule/rows_problem.cuh).
// archs: sm_90a
//
// Persistent, warp-specialised blocks: consumer warpgroups first, then a warpgroup whose warps have a role each.
//
//     warp 0  boxes of weights and tokens, by TMA       ─▶ ring of stages ─▶ consumers: products, epilogue
//     warp 1  scheduler: tiles (schedule/tile_feed.cuh) ─▶ all others
//     warps 2 and 3  token rows, with Gather::in_kernel ─▶ ring of stages
//     warp 2  rows of coming tiles, with Gather::copy_ahead ─▶ workspace; warp 3 waits for them and tells warp 0
//     warp 3  slots and scales of rows                  ─▶ row tables ─▶ consumers: epilogue
//
// Cooperative consumers split a tile along the MMA's M side. Ping-pong consumers take whole tiles in turn, and turns go round
// between them: for the products, so that one has the tensor cores to itself while the other stores, and for the staging buffer.
//
// Shared memory: [ring][staging][row tables][gather table][prefix sums][tile slots, mbarriers][ring mbarriers][turns][copier]
// [rows ready]
#pragma once

#include "epilogue/staged_rows.cuh"
#include "kernels/dispatch_rows.cuh"
#include "mainloop/row_copier.cuh"
#include "mainloop/sm90_producer.cuh"
#include "ptx/registers.cuh"
#include "schedule/tile_feed.cuh"

namespace moe_tune {

template <class Problem, class Config, TileOrder Order>
class RowsSm90 {
  using Producer = Sm90Producer<Problem, Config>;
  using Gatherer = RowGatherer<Problem, Config>;
  using Multiply = Sm90Multiply<RowsOperands<Problem, Config>, Config, Producer::gathers>;
  using Accumulators = Sm90Accumulators<Config>;
  using Epilogue = StagedRows<Problem, Config>;
  using Tables = RowTables<Problem, Config>;
  using Tiles = ExpertTiles<Problem::E, Problem::N, Config::block_m, Config::block_n * Config::cluster, Order, Config::row_grain>;
  using Barriers = RingBarriers<Config::stages>;
  static constexpr u32 gather_warps = Producer::gathers ? Gatherer::threads / 32 : 0;
  static constexpr u32 k_blocks = Config::k_blocks(Problem::K);
  static constexpr bool copies = Problem::gather_rows && Config::copies;
  using Copier = RowCopier<Problem>;
  static constexpr u32 table_warps = Tables::needed || copies ? 1 : 0;
  using Feed = TileFeed<Config, /*Readers*/ 1 + gather_warps + table_warps + (copies ? 1 : 0) + 4 * Config::consumers>;

  static constexpr u32 stagings = Config::ping_pong ? 1 : Config::consumers;
  static constexpr u32 staging_offset = Config::stages * Config::stage_bytes;
  static constexpr u32 row_table_offset = staging_offset + stagings * Epilogue::staging_bytes;
  static constexpr u32 gather_table_offset = row_table_offset + Tables::bytes;
  static constexpr u32 prefix_offset = gather_table_offset + (Producer::gathers ? Gatherer::table_bytes : 0);
  static constexpr u32 feed_offset = prefix_offset + (Tiles::shared_bytes + 15) / 16 * 16;
  static constexpr u32 barrier_offset = feed_offset + Feed::bytes;
  static constexpr u32 turn_offset = barrier_offset + Barriers::bytes;
  static constexpr u32 turn_bytes = 4 * 8;
  static constexpr u32 copier_offset = turn_offset + turn_bytes;
  static constexpr u32 ready_offset = copier_offset + (copies ? Copier::bytes : 0);
  static_assert(staging_offset % 1024 == 0 && Epilogue::staging_bytes % 1024 == 0, "the swizzle repeats every 1024 bytes");

 public:
  static constexpr u32 shared_bytes = ready_offset + (copies ? RowsReady::bytes : 0);

  static MOE_DEVICE void run(const abi::RowsSm90Args& args) {
    const u32 shared = ptx::shared_base();
    const Barriers barriers{shared + barrier_offset};
    Feed feed(shared + feed_offset);
    if (ptx::thread_index() == 0) {
      feed.init();
      if constexpr (copies) {
        Copier::init(shared + copier_offset);
        RowsReady(shared + ready_offset).init();
      }
      Tables(shared + row_table_offset).init();
      barriers.init(Producer::full_arrivals, 4 * Config::consumers_of_tile * Config::cluster);
      for (u32 consumer = 0; consumer < 2; ++consumer) {
        ptx::mbarrier_init(product_turn(shared, consumer), 4);
        ptx::mbarrier_init(staging_turn(shared, consumer), 1);
      }
      ptx::fence_mbarrier_init();
    }
    // Reads m_sizes while the mbarriers are made.
    if (role() == scheduler) Tiles::prepare(args.gemm, shared + prefix_offset);
    meet();

    // Two resident blocks have no registers to spare.
    constexpr bool moves_registers = Config::consumers == 2 && Config::ctas_per_sm == 1;
    const int warp = role();
    if (warp >= 0) {
      if constexpr (moves_registers) ptx::decrease_registers<40>();
      if (warp == 0) {
        load(args, feed, shared);
      } else if (warp == scheduler) {
        feed.feed(Tiles(shared + prefix_offset), args.queue);
      } else if ((Tables::needed || copies) && warp == 3) {
        look_up(args, feed, shared);
      } else if constexpr (Producer::gathers) {
        gather(args, feed, shared);
      } else if (copies && warp == 2) {
        copy(args, feed, shared);
      }
    } else {
      if constexpr (moves_registers) ptx::increase_registers<232>();
      consume(args, feed, shared);
    }
    // Blocks of a cluster end together: multicasts and arrivals may be on their way to the other.
    if constexpr (Config::cluster > 1) ptx::cluster_barrier();
  }

 private:
  static constexpr int scheduler = 1;

  /// The warp's number in the last warpgroup; negative for consumers.
  static MOE_DEVICE int role() { return (static_cast<int>(ptx::thread_index()) - 128 * Config::consumers) >> 5; }

  static MOE_DEVICE u32 product_turn(u32 shared, u32 consumer) { return shared + turn_offset + consumer * 8; }
  static MOE_DEVICE u32 staging_turn(u32 shared, u32 consumer) { return shared + turn_offset + 16 + consumer * 8; }

  static MOE_DEVICE void meet() {
    ptx::block_barrier();
    if constexpr (Config::cluster > 1) {
      ptx::cluster_arrive_relaxed();  // of the other block only the mbarriers matter, and their fence has released
      ptx::cluster_wait();
    }
  }

  /// The next tile of this block.
  static MOE_DEVICE Tile next(Feed& feed) {
    Tile tile = feed.next();
    if constexpr (Config::cluster > 1) tile.n += static_cast<int>(ptx::cluster_rank()) * Config::block_n;
    return tile;
  }

  static MOE_DEVICE void load(const abi::RowsSm90Args& args, Feed& feed, u32 shared) {
    ptx::prefetch_tensor_map(&args.w);
    if constexpr (!Producer::gathers) ptx::prefetch_tensor_map(&args.x);
    Producer producer(shared, {shared + barrier_offset});
    RowsReady ready(shared + ready_offset);
    for (Tile tile = next(feed); tile.exists(); tile = next(feed)) {
      if constexpr (copies) ready.wait();
      if (ptx::lane_index() == 0) producer.load(args, tile);
      ptx::warp_barrier();
    }
  }

  static MOE_DEVICE void gather(const abi::RowsSm90Args& args, Feed& feed, u32 shared) {
    Gatherer gatherer(shared, {shared + barrier_offset}, shared + gather_table_offset);
    gatherer.run(args.gemm, [&] { return next(feed); });
  }

  static MOE_DEVICE void copy(const abi::RowsSm90Args& args, Feed& feed, u32 shared) {
    const Tiles tiles(shared + prefix_offset);
    Copier copier(shared + copier_offset, tiles.rows());
    for (Tile tile = next(feed); tile.exists(); tile = next(feed)) copier.copy_past(args, tiles.end_row(tile.expert));
    copier.copy_past(args, tiles.rows());  // for other blocks, sooner than they would
  }

  static MOE_DEVICE void look_up(const abi::RowsSm90Args& args, Feed& feed, u32 shared) {
    Tables tables(shared + row_table_offset);
    RowsReady ready(shared + ready_offset);
    const int rows = Tiles(shared + prefix_offset).rows();
    for (Tile tile = next(feed); tile.exists(); tile = next(feed)) {
      if constexpr (copies) ready.announce(args, tile, rows);
      if constexpr (Tables::needed) tables.fill(args.gemm, tile);
    }
  }

  static MOE_DEVICE void consume(const abi::RowsSm90Args& args, Feed& feed, u32 shared) {
    const u32 consumer = ptx::thread_index() / 128;
    const u32 staging = shared + staging_offset + (Config::ping_pong ? 0 : consumer * Epilogue::staging_bytes);
    Multiply multiply(shared, {shared + barrier_offset}, consumer);
    Epilogue epilogue(args, staging, shared + row_table_offset, staging_turn(shared, 0));
    if (Config::ping_pong && consumer == 1) {
      if (!next(feed).exists()) return;
      multiply.skip(k_blocks);
    }
    u32 turn = 0;
    for (Tile tile = next(feed); tile.exists(); tile = next(feed)) {
      const Tile part = part_of(tile, consumer);
      // Consumer 0 begins: the phase before the first counts as over.
      if constexpr (Config::ping_pong) ptx::mbarrier_wait(product_turn(shared, consumer), turn % 2 ^ (1 - consumer));
      const auto pass_turn = [&] {
        if (Config::ping_pong && ptx::lane_index() == 0) ptx::mbarrier_arrive(product_turn(shared, 1 - consumer));
      };
      Accumulators acc;
      if constexpr (Config::swapped) {
        multiply_columns<first_columns>(multiply, acc, part.rows, pass_turn);
      } else {
        multiply_rows<Config::m_blocks>(multiply, acc, part.rows, pass_turn);
      }
      epilogue.store(acc, part, turn);
      ++turn;
      if constexpr (Config::ping_pong) {
        if (!next(feed).exists()) break;
        multiply.skip(k_blocks);
      }
    }
    epilogue.finish();
  }

  /// What a consumer stores of a tile.
  static MOE_DEVICE Tile part_of(Tile tile, u32 consumer) {
    if constexpr (!Config::ping_pong) {
      if constexpr (Config::swapped) {
        tile.n += static_cast<int>(consumer) * Config::store_columns;
      } else {
        const int skipped = static_cast<int>(consumer) * Config::store_rows;
        tile.row += skipped;
        tile.rows = tile.rows > skipped ? tile.rows - skipped : 0;
        if (tile.rows > Config::store_rows) tile.rows = Config::store_rows;
      }
    }
    return tile;
  }

  // Sizes of the MMA's N side that code is made for: 16 apart. But a wide tile with few rows takes as long as its weights need to
  // come in, whatever it multiplies: there fewer do, and compile faster.
  static constexpr bool wide = Config::block_m >= 128;
  static constexpr int first_columns = wide ? Config::block_m - 64 : 16;
  static MOE_DEVICE constexpr int next_columns(int n) { return n + (wide && n < 128 ? 32 : 16); }

  /// Tokens are the N side: as many columns as there are rows, rounded up to the next size.
  template <int N, class Issued>
  static MOE_DEVICE void multiply_columns(Multiply& multiply, Accumulators& acc, int rows, const Issued& issued) {
    if constexpr (N < Config::block_m) {
      if (rows > N) {
        multiply_columns<next_columns(N)>(multiply, acc, rows, issued);
        return;
      }
    }
    multiply.template run<Config::m_blocks, N>(acc, k_blocks, issued);
  }

  /// Tokens are the M side: as many 64-row blocks as have rows.
  template <int MBlocks, class Issued>
  static MOE_DEVICE void multiply_rows(Multiply& multiply, Accumulators& acc, int rows, const Issued& issued) {
    if constexpr (MBlocks == 0) {
      multiply.run_nothing(k_blocks);
      issued();
    } else {
      if (rows <= (MBlocks - 1) * 64) {
        multiply_rows<MBlocks - 1>(multiply, acc, rows, issued);
        return;
      }
      multiply.template run<MBlocks, Config::block_n>(acc, k_blocks, issued);
    }
  }
};

}  // namespace moe_tune
