// Faults in an emitted sm90 forward kernel that has every role but the gather: ping-pong consumers, a tile queue, rows that are
// copied ahead, row tables.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/forward_subject.hpp"

namespace moe_tune::test {

Study forward_sm90_study() {
  Problem problem;
  problem.E = 5;
  problem.N = 184;  // less than three column blocks of two tiles
  problem.K = 200;
  problem.top_k = 2;
  problem.permute_x = true;
  problem.fuse_mul_pre = true;
  CaseSpec spec{.problem = problem, .tokens = 62};
  spec.m_sizes = {70, 0, 1, 33, 20};
  for (int row = 0; row < spec.M(); ++row) spec.gather_indices.push_back((row * 37 + 11) % spec.M());
  spec.y_padding = 8;
  return {
      forward_subject("forward, sm90", spec, parse_config("sm90_32x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead")),
      {
          // Beginning
          {"no fence after mbarrier.init", "ptx::fence_mbarrier_init();", ""},
          {"no barrier after mbarrier.init", "ptx::block_barrier();", "", 2, 2},
          // The ring
          {"waits for the other phase of full", "ptx::mbarrier_wait(full(position.stage), position.parity);",
           "ptx::mbarrier_wait(full(position.stage), position.parity ^ 1u);"},
          {"no wait for an empty stage", "barriers_.wait_empty(position_);\n      ptx::mbarrier_arrive_expect_tx(full, bytes);",
           "ptx::mbarrier_arrive_expect_tx(full, bytes);"},
          {"one arrival too few is awaited at empty", "4 * Config::consumers_of_tile * Config::cluster)",
           "4 * Config::consumers_of_tile * Config::cluster - 1)"},
          {"the bytes of the weights are not announced", "weight_bytes(tile) + Config::k_slices", "Config::k_slices"},
          {"the last box of rows is not loaded", "(tile.rows + box_rows - 1) / box_rows", "tile.rows / box_rows"},
          {"the last stage of a tile is not given back", "if (k_blocks > 0) release(previous);", ""},
          {"stages of the other consumer's tile are not skipped", "multiply.skip(k_blocks);", "", 2, 2},
          // Products
          {"no wgmma.fence", "ptx::warpgroup_fence();", ""},
          {"no wgmma.commit_group", "ptx::warpgroup_commit();", ""},
          {"no wait before a stage is given back", "ptx::warpgroup_wait<1>();", ""},
          {"no wait at the end of a tile", "ptx::warpgroup_wait<0>();", ""},
          {"as many columns as fit the rows, not rounded up", "if (rows > N) {", "if (rows >= N + 16) {"},
          // Turns
          {"the other parity of the turn for the products", "product_turn(shared, consumer), turn % 2 ^ (1 - consumer)",
           "product_turn(shared, consumer), turn % 2 ^ consumer"},
          {"the turn for the products is not passed on", "ptx::mbarrier_arrive(product_turn(shared, 1 - consumer));", ";"},
          {"no wait for the turn for the staging buffer",
           "if constexpr (turns) ptx::mbarrier_wait(turn_barriers_ + consumer() * 8, turn % 2 ^ (1 - consumer()));", ""},
          {"the turn for the staging buffer is passed to oneself", "ptx::mbarrier_arrive(turn_barriers_ + (1 - consumer()) * 8)",
           "ptx::mbarrier_arrive(turn_barriers_ + consumer() * 8)"},
          // The epilogue
          {"no proxy fence before the tensor store", "if (by_tma) ptx::fence_async_shared();", ""},
          {"no barrier before the tensor store", "if (by_tma) ptx::fence_async_shared();\n    barrier();",
           "if (by_tma) ptx::fence_async_shared();"},
          {"the staging buffer is passed on before it has been read", "if constexpr (turns) ptx::bulk_wait_read<0>();", ""},
          {"columns past N are stored", "leads() && first < y_columns", "leads()", 1, 1,
           "Equivalent: the tensor map clips a box that lies wholly past its columns."},
          {"the row after a tile's last one is stored", "Config::store_rows - tile.rows + row, tile.row + tile.rows)",
           "Config::store_rows - tile.rows - 1 + row, tile.row + tile.rows + 1)"},
          // Row tables
          {"a row table is not waited for", "if constexpr (Table::needed) table.wait();", ""},
          {"a row table is not given back", "if constexpr (Table::needed) table.release();", ""},
          {"every other row gets its neighbour's scale", "table.scale(row + 1), ", "table.scale(row), "},
          {"rows past the first 16 are not scaled", "const float scales[4]", "if (j > 0) break;\n        const float scales[4]"},
          // Rows that are copied ahead
          {"a slot is loaded again before it has been stored", "ptx::bulk_wait_read<slots - ahead - 1>();",
           "ptx::bulk_wait_read<slots - ahead>();"},
          {"a flag is released before its rows have been written", "ptx::bulk_wait<0>();  // written",
           "ptx::bulk_wait_read<0>();  // written"},
          {"a flag is set without release", "ptx::store_release_gpu(args.copied", "ptx::store_relaxed_gpu(args.copied"},
          {"flags are read without acquire", "ptx::load_acquire_gpu(args.copied", "ptx::load_relaxed_gpu(args.copied"},
          {"the last piece of a tile is not waited for", "piece <= last;", "piece < last;"},
          {"rows are loaded before they are announced", "if constexpr (copies) ready.wait();", ""},
          {"no proxy fence around the flags", "ptx::fence_async_global();", "", 0, 2},
          {"no proxy fence before a flag is released", "ptx::fence_async_global();", "", 1, 2,
           "Not modelled: a proxy fence on either side of the flag counts for both."},
          {"no proxy fence after the rows are announced", "ptx::fence_async_global();", "", 2, 2,
           "Not modelled: a proxy fence on either side of the flag counts for both."},
          {"slot taken for a token", "static_cast<i64>(routed / Problem::slots_per_row)", "static_cast<i64>(routed)"},
          // Tiles
          {"one reader too few gives a tile's slot back", "Readers * Config::cluster + announcers)",
           "Readers * Config::cluster + announcers - 1)"},
          {"a tile's slot is not given back", "release(position_.stage);\n    position_.advance();\n    return TileType",
           "position_.advance();\n    return TileType"},
          {"the queue is not reset", "if (before + 1 == count) ptx::store_relaxed_gpu(queue, 0);", ""},
          {"the queue is reset one fetch too early", "before + 1 == count", "before + 2 == count"},
          {"equal tiles that hold a row too few", "(rows - 1) / row_tiles + 1", "rows / row_tiles"},
      }};
}

TEST_CASE("forward, sm90: planted faults") { check_study(forward_sm90_study()); }

}  // namespace moe_tune::test
