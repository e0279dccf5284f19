// Faults in the epilogue that stores by TMA from two staging buffers.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study store_study() {
  return {pipeline_subject(store_case()),
          {
              {"no wait before a buffer is written again", "if (stores) ptx::bulk_wait_read<1>();", ""},
              {"waits for one store too few before a buffer is written again", "ptx::bulk_wait_read<1>();",
               "ptx::bulk_wait_read<2>();"},
              {"another thread waits for the stores than issued them", "if (stores) ptx::bulk_wait_read<1>();",
               "if (ptx::thread_index() == 32) ptx::bulk_wait_read<1>();"},
              {"no barrier after the wait for the buffer", "ptx::named_barrier<1, 128>();", ""},
              {"no proxy fence before the store", "ptx::fence_async_shared();", "", 2, 2},
              {"no barrier before the store", "ptx::named_barrier<2, 128>();", ""},
              {"a barrier of one warp too few", "ptx::named_barrier<2, 128>();", "ptx::named_barrier<2, 96>();"},
              {"a barrier of one warp too many", "ptx::named_barrier<1, 128>();", "ptx::named_barrier<1, 160>();"},
              {"stores not committed", "ptx::bulk_commit();", ""},
              {"no wait for the stores before the end", "if (stores) ptx::bulk_wait_read<0>();", ""},
              {"waits for all but one store before the end", "ptx::bulk_wait_read<0>();", "ptx::bulk_wait_read<1>();"},
              {"always the same buffer", "buffer = buffer == staging ? staging + staging_bytes : staging;", ""},
              {"the buffers overlap", "staging + staging_bytes : staging;", "staging + staging_bytes / 2 : staging;"},
              {"the ring begins in the second buffer", "staging + 2 * study::staging_bytes", "staging + study::staging_bytes"},
              {"one thread of each warp stores", "stores = ptx::thread_index() == 0", "stores = ptx::lane_index() == 0"},
              {"row and column swapped", "tile / row_tiles * tile_columns, tile % row_tiles * tile_rows",
               "tile % row_tiles * tile_rows, tile / row_tiles * tile_columns"},
              {"staged without the swizzle", "((chunk ^ (row & 7u)) << 4)", "(chunk << 4)"},
              {"staged with a swizzle of fewer rows", "chunk ^ (row & 7u)", "chunk ^ (row & 3u)"},
              {"stmatrix rows of the wrong matrix", "(lane / 8 & 1u) * 8", "(lane / 16 & 1u) * 8"},
          }};
}

TEST_CASE("store: planted faults") { check_study(store_study()); }

}  // namespace moe_tune::test
