// Faults in emitted kernels of gradients: dX of sm90, whose weights have lines along the output's columns, and dW of both
// families. Rows are ragged, one expert has none and columns do not fill their tiles.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/forward_subject.hpp"
#include "tests/mutation/support/weights_subject.hpp"

namespace moe_tune::test {

namespace {

CaseSpec ragged_case(const Problem& problem) {
  CaseSpec spec{.problem = problem, .tokens = 62};
  spec.m_sizes = {70, 0, 1, 33, 20};
  // Every slot once, in an order that no mistake leaves as it is.
  for (int row = 0; row < spec.M(); ++row) spec.gather_indices.push_back((row * 37 + 11) % spec.M());
  spec.x_padding = 8;
  spec.y_padding = 8;
  return spec;
}

Problem problem_of(Op op, int N, int K) { return {.op = op, .E = 5, .N = N, .K = K, .top_k = 2}; }

}  // namespace

Study dx_sm90_study() {
  // A reduction of 136, stored columns in parts of 64 that do not fill the second tile.
  return {forward_subject("dX, sm90", ragged_case(problem_of(Op::dX, 136, 192)),
                          parse_config("sm90_32x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_dispatch")),
          {
              {"a tile's first part is the expert's first", "full, 0, row, column / 64, matrix", "full, 0, row, 0, matrix"},
              {"weights of the first expert", "full, 0, row, column / 64, matrix", "full, 0, row, column / 64, 0"},
              {"bytes of parts past the last column are not announced", "one_box ? Size / 64 : parts_within(column)",
               "parts_within(column)"},
              {"blocks of the M side lie as if lines ran along K", "static_cast<u32>(block) * part_bytes",
               "static_cast<u32>(block) * 64 * sm90_row_bytes / 2"},
              {"the next 16 of K lie 32 bytes further", "static_cast<u32>(step) * 16 * sm90_row_bytes",
               "static_cast<u32>(step) * 32"},
          }};
}

Study dw_sm90_study() {
  CaseSpec spec = ragged_case(problem_of(Op::dW, 200, 136));
  spec.w_row_padding = 8;
  return {weights_subject("dW, sm90", spec, parse_config("sm90_64x128x64_tokens_pingpong_w12_s3_c1_x1_queue_nfast_dispatch")),
          {
              {"rows of the next expert are summed", "left < Config::block_k ? left : Config::block_k", "Config::block_k"},
              {"the bytes of dY are not announced", "YBoxes::bytes(n) + XBoxes::bytes(k)", "XBoxes::bytes(k)"},
              {"parts of columns are loaded over each other", "target + static_cast<u32>(part) * Lines::part_bytes", "target"},
              {"an expert's rows begin at the first row", "tile.row + done + rows", "done + rows"},
              {"no wait for an empty stage", "barriers.wait_empty(position);\n      ptx::mbarrier_arrive_expect_tx(full, bytes);",
               "ptx::mbarrier_arrive_expect_tx(full, bytes);"},
              {"the first tile of the other consumer is not skipped", "multiply.skip(k_blocks(others));", "", 1, 2},
              {"tiles of the other consumer are not skipped", "multiply.skip(k_blocks(others));", "", 2, 2},
              {"the other parity of the turn for the products", "product_turn(shared, consumer), turn % 2 ^ (1 - consumer)",
               "product_turn(shared, consumer), turn % 2 ^ consumer"},
              {"the turn for the products is not passed on", "ptx::mbarrier_arrive(product_turn(shared, 1 - consumer));", ";"},
              {"the sum of the tile before is not dropped", "for (float& sum : block) sum = 0.0f;",
               "for (float& sum : block) (void)sum;"},
              {"stages of one buffer more are left to be read", "ptx::bulk_wait_read<Buffers - 1>();",
               "ptx::bulk_wait_read<Buffers>();"},
              {"one buffer for every column block", "(turn * blocks + block) % Buffers", "0u * (turn + block)"},
              {"stores are not committed", "ptx::bulk_commit();  // also of nothing: a group for each block", ";"},
              {"column blocks are stored in each other's place", "tile.tile_k * Config::block_n + block * columns",
               "tile.tile_k * Config::block_n"},
              {"n tiles taken for k tiles", "Order == TileOrder::m_fastest ? local % n_tiles",
               "Order == TileOrder::n_fastest ? local % n_tiles"},
              {"experts without rows have no tiles", "return E * n_tiles * k_tiles;", "return (E - 1) * n_tiles * k_tiles;"},
          }};
}

Study dw_sm90_accumulated_study() {
  // One tile of three column blocks, which two buffers take in turn, and one of a few columns.
  Problem problem = problem_of(Op::dW, 88, 200);
  problem.accumulate = true;
  CaseSpec spec = ragged_case(problem);
  spec.w_row_padding = 8;
  return {
      weights_subject("dW, sm90, accumulated", spec,
                      parse_config("sm90_64x192x64_tokens_pingpong_w12_s3_c1_x1_queue_nfast_dispatch")),
      {
          {"mbarriers of old blocks await an arrival more", "ptx::mbarrier_init(old_blocks(shared, consumer) + buffer * 8, 1);",
           "ptx::mbarrier_init(old_blocks(shared, consumer) + buffer * 8, 2);"},
          {"both consumers' old blocks land at the same mbarriers", "turn_offset + 16 + consumer * 16", "turn_offset + 16"},
          {"an old block is loaded before the buffer has been read",
           "ptx::bulk_wait_read<0>();\n    for (int block = 0; block < Buffers", "for (int block = 0; block < Buffers"},
          {"the third old block is loaded before the buffer has been read",
           "ptx::bulk_wait_read<0>();\n        load_old(tile, block + Buffers - 1);", "load_old(tile, block + Buffers - 1);"},
          {"the third old block is not loaded", "load_old(tile, block + Buffers - 1);", ""},
          {"old blocks past K are loaded", "block < Buffers && block < blocks_within(tile)", "block < Buffers"},
          {"old blocks are not waited for", "ptx::mbarrier_wait(old_barriers_ + buffer * 8, number / Buffers % 2);", ""},
          {"always the first phase", "number / Buffers % 2", "0u * number"},
          {"stored blocks are not counted", "stored_ += static_cast<u32>(within);", ""},
          {"half of a block is announced", "ptx::mbarrier_arrive_expect_tx(barrier, Base::staging_bytes);",
           "ptx::mbarrier_arrive_expect_tx(barrier, Base::staging_bytes / 2);"},
          {"old elements of the first expert", "first_row(tile), tile.expert);\n  }\n\n  /// Adds",
           "first_row(tile), 0);\n  }\n\n  /// Adds"},
          {"an expert without rows is added to", "(!Problem::accumulate || tile.rows > 0)", "true"},
          {"sums take the place of old elements", "add_rounded<Problem::type>(words.v[i],", "add_rounded<Problem::type>(0u,"},
          {"lanes address the rows of another matrix", "warp() * 16 + lane() % 16)", "warp() * 16 + lane() % 8)"},
          {"no proxy fence before sums are stored",
           "add(acc, block, this->buffer_address(buffer));\n      ptx::fence_async_shared();",
           "add(acc, block, this->buffer_address(buffer));"},
          {"no barrier before sums are stored", "ptx::fence_async_shared();\n      this->barrier();",
           "ptx::fence_async_shared();"},
      }};
}

Study dw_sm80_study() {
  Problem problem = problem_of(Op::dW, 136, 72);
  problem.gemm = Gemm::down;
  problem.permute_y = true;
  CaseSpec spec = ragged_case(problem);
  spec.gather_indices[40] = -1;
  return {weights_subject("dW, sm80, permute_y", spec, parse_config("sm80_64x64x32_w4m2_s4_c1_nfast")),
          {
              {"rows of the next expert are summed", "int source = row < ahead_.rows ? ahead_.row + row : -1;",
               "int source = ahead_.row + row;", 1, 1, "Equivalent: a row past the expert's last has no slot, which counts."},
              {"slots of the next expert are looked up", "return row < ahead_.rows ? ahead_.row + row : -1;",
               "return ahead_.row + row < args_.M ? ahead_.row + row : -1;"},
              {"the same k-block again and again", "ahead_.row += Config::block_k;", ""},
              {"experts without rows have a k-block", "if (ahead_.rows > 0) return;", "if (ahead_.rows >= 0) return;"},
              {"dY is read in expert order", "Problem::gather_y ? gathered : target", "target"},
              {"X is gathered too", "Problem::gather_x ? gathered : target", "gathered"},
              {"X begins one stage's dY too early", "x_offset_(Config::a_stage_bytes + XCopy::first_offset())",
               "x_offset_(XCopy::first_offset())"},
              {"columns past N are read", "y_columns_left_ = Problem::N - n;", "y_columns_left_ = Config::block_m;"},
              {"as many k-blocks as BLOCK_K fits whole", "(tile.rows + Config::block_k - 1) / Config::block_k",
               "tile.rows / Config::block_k"},
              {"a bad slot's row of X is summed", "x_[i] = source < 0 ? 0 :", "x_[i] = row >= ahead_.rows ? 0 :", 1, 1,
               "Equivalent for finite rows: the row of dY is zeros."},
          }};
}

TEST_CASE("dX of sm90: planted faults") { check_study(dx_sm90_study()); }
TEST_CASE("dW of sm90: planted faults") { check_study(dw_sm90_study()); }
TEST_CASE("dW of sm90 that accumulates: planted faults") { check_study(dw_sm90_accumulated_study()); }
TEST_CASE("dW of sm80: planted faults") { check_study(dw_sm80_study()); }

}  // namespace moe_tune::test
