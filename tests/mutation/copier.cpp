// Faults between blocks that copy rows and blocks that use them.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study copier_study() {
  return {
      pipeline_subject(copier_case()),
      {
          {"the flag is released before the rows are written", "ptx::bulk_wait<0>();", ""},
          {"the flag is released when the rows have been read, not written", "ptx::bulk_wait<0>();", "ptx::bulk_wait_read<0>();"},
          {"no proxy fence on either side of the flag", "ptx::fence_async_global();", "", 0, 2},
          {"the flag is not released", "ptx::reduce_add_release_gpu(", "ptx::atomic_add_relaxed_gpu("},
          {"the flag is not acquired", "ptx::load_acquire_gpu(", "ptx::load_relaxed_gpu("},
          {"the flag is not waited for", "while (ptx::load_acquire_gpu(args.counters + piece) != piece_rows) {\n      }", ""},
          {"the flag is released with the first row of a piece", "stored % piece_rows != piece_rows - 1",
           "stored % piece_rows != 0"},
          {"flag of a row, not of a piece", "copied_row(stored) / piece_rows, piece_rows", "copied_row(stored), piece_rows"},
          {"stores not committed", "ptx::bulk_commit();", ""},
          {"no wait before a slot is loaded again", "if (i >= slots) ptx::bulk_wait_read<slots - ahead - 1>();", ""},
          {"waits for one store too few before a slot is loaded again", "bulk_wait_read<slots - ahead - 1>",
           "bulk_wait_read<slots - ahead>"},
          {"no wait for a row to land",
           "ptx::mbarrier_wait(memory.landed(stored % slots), static_cast<u32>(stored / slots) & 1u);", ""},
          {"the phase changes with every row", "static_cast<u32>(stored / slots) & 1u", "static_cast<u32>(stored) & 1u"},
          {"row of the block taken for a row of the workspace", "static_cast<i64>(copied_row(stored)) * copied_row_bytes",
           "static_cast<i64>(stored) * copied_row_bytes"},
          {"row of x in rows, not bytes", "static_cast<i64>(source) * copied_row_bytes", "static_cast<i64>(source)"},
          {"too few bytes of a piece announced", "expect_tx(memory.piece_landed(), piece_bytes);",
           "expect_tx(memory.piece_landed(), copied_row_bytes);"},
          {"the phase of the piece does not change", "parity ^= 1u;", ""},
          {"no __syncwarp before the next piece", "ptx::warp_barrier();", ""},
          {"words of a lane in bytes", "ptx::lane_index() * 16", "ptx::lane_index()"},
          {"no fence after mbarrier.init", "ptx::fence_mbarrier_init();", ""},
      }};
}

TEST_CASE("copier: planted faults") { check_study(copier_study()); }

}  // namespace moe_tune::test
