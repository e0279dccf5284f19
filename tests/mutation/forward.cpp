// Faults in emitted sm80 forward kernels: three problems, whose rows are ragged and do not fill their tiles.
#include <catch2/catch.hpp>
#include <numeric>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/forward_subject.hpp"

namespace moe_tune::test {

namespace {

CaseSpec ragged_case(const Problem& problem, int tokens, std::vector<std::int64_t> m_sizes) {
  CaseSpec spec{.problem = problem, .tokens = tokens};
  spec.m_sizes = std::move(m_sizes);
  // Every slot once, in an order that no mistake leaves as it is.
  for (int row = 0; row < spec.M(); ++row) spec.gather_indices.push_back((row * 37 + 11) % spec.M());
  return spec;
}

KernelConfig small_config(int block_m, int block_n, int block_k, int warps_m, int stages, TileOrder order) {
  KernelConfig config;
  config.BLOCK_M = block_m;
  config.BLOCK_N = block_n;
  config.BLOCK_K = block_k;
  config.warps = 4;
  config.warps_m = warps_m;
  config.stages = stages;
  config.tile_order = order;
  return config;
}

}  // namespace

Study forward_plain_study() {
  Problem problem;
  problem.E = 5;
  problem.N = 136;
  problem.K = 200;
  // Every row has an owner: what is read after the last one is not there.
  CaseSpec spec = ragged_case(problem, 157, {70, 0, 1, 64, 22});
  spec.w_row_padding = 8;
  spec.y_padding = 8;
  return {
      forward_subject("forward", spec, small_config(64, 64, 64, 2, 3, TileOrder::m_fastest)),
      {
          // The pipeline
          {"no wait for copies while the ring is filled", "ptx::cp_async_wait<Config::stages - 2>();", "", 1, 2},
          {"no wait for copies in the mainloop", "ptx::cp_async_wait<Config::stages - 2>();", "", 2, 2},
          {"waits for one group too few", "ptx::cp_async_wait<Config::stages - 2>();",
           "ptx::cp_async_wait<Config::stages - 1>();", 2, 2},
          {"no barrier after the ring is filled", "ptx::block_barrier();", "", 1, 3},
          {"no barrier before a stage is filled again", "ptx::block_barrier();", "", 2, 3},
          {"a barrier of half the warps", "ptx::block_barrier();",
           "if (ptx::thread_index() < Config::threads / 2) ptx::block_barrier();", 2, 3},
          {"copies not committed", "ptx::cp_async_commit();", ""},
          {"the stage that is read does not move",
           "stage_ = stage_ + Config::stage_bytes == ring_end_ ? ring_ : ", "stage_ = false ? ring_ : 0 * "},
          {"the stage that is filled wraps too late", "fill_ = fill_ + Config::stage_bytes == ring_end_",
           "fill_ = fill_ == ring_end_"},
          {"the fragments are not double-buffered", "fragments_[Step % 2], rows_left", "fragments_[(Step + 1) % 2], rows_left"},
          {"the sum of the tile before is not dropped", "acc.clear();", ""},
          {"warps take rows in other places than they store them",
           "return (row / 16 * Config::warps_m + warp_m()) * 16 + row % 16;", "return warp_m() * Config::warp_m + row;"},
          {"the last fragment of rows is dropped", "* 16 < rows_left", "* 16 + 15 < rows_left"},
          // Layouts
          {"B read in another order than written", "using BLayout = Swizzle<Config::block_k, RowPattern::spread>;",
           "using BLayout = Swizzle<Config::block_k, RowPattern::consecutive>;"},
          {"A written without its swizzle", "return (first ^ Layout::key(step)) + step", "return first + step"},
          {"a swizzle of fewer rows, written and read alike", ": row & 7u) << 4", ": row & 3u) << 4", 1, 1,
           "Equivalent: copies and ldmatrix still agree where a chunk lies; it costs bank conflicts."},
          {"B begins one stage's A too early", "Config::a_stage_bytes + (slabs ?", "(slabs ?"},
          {"k in elements, not bytes", "x_[i] += Config::block_k * 2", "x_[i] += Config::block_k"},
          {"rows of w as far apart as if they were contiguous", "Problem::strided_w ? args_.w_row_bytes : ", ""},
          // Tails
          {"rows past K are not masked", "blocks_left_ > missing_blocks_", "blocks_left_ > 0"},
          {"a k-block too many is masked", "blocks_left_ > missing_blocks_", "blocks_left_ > missing_blocks_ + 1"},
          {"the row after a tile's last one is read", "ACopy::row(i) < ahead_.rows", "ACopy::row(i) <= ahead_.rows"},
          {"missing rows are read", "live && x_[i] >= row_exists", "live"},
          {"columns past N are read", "live && (!n_tail || tile_.n + BCopy::row(I) < Problem::N)", "live"},
          {"columns past N are stored", "n_tail ? Problem::N - column : Config::block_n", "Config::block_n"},
          {"the row after a tile's last one is stored", "tile_row < tile.rows", "tile_row <= tile.rows"},
          {"an expert's last tile is always full", "left < tile_rows ? left : tile_rows", "tile_rows"},
          // The schedule
          {"the last expert is never found", "int high = E;", "int high = E - 1;"},
          {"an expert's last tile is not counted", "(next - row + BLOCK_M - 1) / BLOCK_M", "(next - row) / BLOCK_M"},
          {"a sum of the lanes skips one", "ptx::lane_index() >= delta", "ptx::lane_index() > delta"},
          {"lanes without experts write prefix sums", "if (first + i < E) ptx::store_shared(row_start +",
           "ptx::store_shared(row_start +"},
          {"blocks take each other's tiles", "ahead_id_ += ptx::grid_size();", "ahead_id_ += 1;"},
          {"column tiles taken for columns", "static_cast<int>(n) * BLOCK_N}", "static_cast<int>(n)}"},
      }};
}

Study forward_gather_study() {
  Problem problem;
  problem.E = 6;
  problem.N = 72;
  problem.K = 104;
  problem.top_k = 2;
  problem.permute_x = true;
  CaseSpec spec = ragged_case(problem, 48, {0, 37, 0, 20, 1, 38});
  spec.gather_indices_64 = true;
  spec.m_sizes_64 = true;
  // Bad ones: the first that is too large, a negative one, one that is too large in its high word alone.
  spec.gather_indices[3] = spec.M();
  spec.gather_indices[40] = -1;
  spec.gather_indices[60] = (std::int64_t{1} << 32) + 5;
  return {
      forward_subject("forward, permute_x", spec, small_config(32, 64, 32, 2, 4, TileOrder::n_fastest)),
      {
          {"no barrier after the prefix sums", "ptx::block_barrier();", "", 3, 3},
          {"experts without rows are not skipped", "* n_tiles <= id", "* n_tiles < id"},
          {"slot taken for a token", "row = slot / Problem::slots_per_row;", "row = slot;"},
          {"slot of a row of the tile, not of all rows", "return row < ahead_.rows ? ahead_.row + row : -1;",
           "return row < ahead_.rows ? row : -1;"},
          {"a slot is read past the tile's last row", "return row < ahead_.rows ? ahead_.row + row : -1;",
           "return row <= ahead_.rows ? ahead_.row + row : -1;"},
          {"the first slot that is too large is not refused", ">= static_cast<u32>(args.M)", "> static_cast<u32>(args.M)"},
          {"slots are not checked", "if (high_[j] != 0 || static_cast<u32>(slot_[j]) >= static_cast<u32>(args.M))", "if (false)"},
          {"high words of slots are not looked at", "high_[j] != 0 || ", ""},
          {"bad slots are skipped and not reported", "ptx::set_status(args.status, abi::status_bad_gather_index);", ";", 2, 2},
          {"bad slots are reported as bad sizes", "abi::status_bad_gather_index);", "abi::status_bad_m_sizes);", 2, 2},
          {"slots of 64 bits read as those of 32", "args.gather_indices_64 ? 2 : 1", "1"},
          {"sizes of 64 bits read as those of 32", "args.m_sizes_64 ? ", "false ? "},
          {"row of x in elements, not bytes", "static_cast<i64>(row) * args_.x_row_bytes",
           "static_cast<i64>(row) * (args_.x_row_bytes / 2)"},
          {"the slots of the next tile, too early", "    find_rows();\n    ahead_id_ += ptx::grid_size();\n    prefetch_tile();",
           "    ahead_id_ += ptx::grid_size();\n    prefetch_tile();\n    find_rows();"},
          {"tiles along the other dimension", "Order == TileOrder::m_fastest ? local / row_tiles",
           "Order == TileOrder::n_fastest ? local / row_tiles"},
          {"no wait for copies in the mainloop", "ptx::cp_async_wait<Config::stages - 2>();", "", 2, 2},
      }};
}

Study forward_scatter_study() {
  Problem problem;
  problem.gemm = Gemm::down;
  problem.dtype = DType::fp16;
  problem.E = 4;
  problem.N = 136;
  problem.K = 56;
  problem.top_k = 3;
  problem.permute_y = true;
  problem.fuse_mul_post = true;
  // The last rows belong to nobody.
  CaseSpec spec = ragged_case(problem, 50, {70, 0, 33, 40});
  spec.y_padding = 8;
  spec.gather_indices[5] = spec.M();
  spec.gather_indices[90] = -7;
  return {forward_subject("forward, permute_y, fuse_mul_post", spec, small_config(64, 128, 64, 2, 2, TileOrder::m_fastest)),
          {
              {"a bad slot is not refused", "high_[j] != 0 || static_cast<u32>(slot_[j]) >= static_cast<u32>(args.M)", "false"},
              {"the first slot that is too large is not refused", ">= static_cast<u32>(args.M)", "> static_cast<u32>(args.M)"},
              {"rows are stored where they stand, not at their slots", "return slots_.get(row);", "return tile.row + row;"},
              {"the weight of the sorted row, not of the slot", "args_, rows[m][half]) : 1.0f",
               "args_, tile.row + m * 16 + half * 8) : 1.0f"},
              {"lanes get each other's slots", "return ptx::shuffle(slot_[i / 32], static_cast<u32>(i) % 32);",
               "return ptx::shuffle(slot_[i / 32], static_cast<u32>(i) % 16);"},
              {"every other column is not scaled", "columns[j][half * 2 + 1] * scale", "columns[j][half * 2 + 1]"},
              {"weights read in the storage dtype", "if (args.topk_weights_f32)", "if (false)"},
              {"slots past the tile's last row are stored", "tile_row < tile.rows", "tile_row <= tile.rows"},
              {"row of y in elements, not bytes", "args_.y_row_bytes) + column * 2", "args_.y_row_bytes / 2) + column * 2"},
              {"column in elements, not bytes", "args_.y_row_bytes) + column * 2", "args_.y_row_bytes) + column"},
              {"groups of columns overlap", "first + n * 64", "first + n * 32", 1, 3},
              {"a short K gets fewer k-blocks than stages", "return needed < Stages ? Stages : needed;", "return needed;"},
              {"missing slots are not skipped", "stored = rows[m][half] >= 0", "stored = true"},
              {"copies not committed", "ptx::cp_async_commit();", ""},
          }};
}

TEST_CASE("forward: planted faults") { check_study(forward_plain_study()); }
TEST_CASE("forward, permute_x: planted faults") { check_study(forward_gather_study()); }
TEST_CASE("forward, permute_y and fuse_mul_post: planted faults") { check_study(forward_scatter_study()); }

}  // namespace moe_tune::test
