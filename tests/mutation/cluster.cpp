// Faults between the blocks of a cluster.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study cluster_study() {
  return {
      pipeline_subject(cluster_case()),
      {
          {"no cluster barrier before the end", "ptx::cluster_barrier();", ""},
          {"a barrier of the block instead of the cluster after mbarrier.init",
           "ptx::cluster_arrive_relaxed();  // the fence in init() has released\n  ptx::cluster_wait();",
           "ptx::block_barrier();"},
          {"blocks do not wait for each other's mbarrier.init", "\n  ptx::cluster_wait();", ""},
          {"no fence after mbarrier.init", "ptx::fence_mbarrier_init();", ""},
          {"multicast to the first block only", "(1 << cluster_blocks) - 1", "1"},
          {"multicast to a block that is not there", "(1 << cluster_blocks) - 1", "(1 << cluster_blocks) + 1"},
          {"a stage is given back to the own block only", "lane < cluster_blocks", "lane == ptx::cluster_rank()"},
          {"a stage is given back to the first block only", "ptx::map_to_rank(ring.empty(stage), lane)",
           "ptx::map_to_rank(ring.empty(stage), 0)"},
          {"arrivals of the own block only are awaited", "4 * study::cluster_blocks", "4"},
          {"no wait for an empty stage", "ring.wait_empty(position);", ""},
          {"only the own half of B announced", "expect_tx(full, NarrowRing::stage_bytes)",
           "expect_tx(full, operand_bytes + operand_bytes / 2)"},
          {"place of the half in rows, not bytes", "static_cast<u32>(rank * half) * row_bytes", "static_cast<u32>(rank * half)"},
          {"both halves land in the same place", "static_cast<u32>(rank * half) * row_bytes", "0"},
          {"both blocks load the same half", "tile_columns + rank * half", "tile_columns"},
          {"both blocks have the same rows", "cluster_rows + rank * tile_rows);", "cluster_rows);"},
          {"lanes come to the cluster barrier one by one", "ptx::warp_barrier();", "", 1, 1,
           "Not modelled: lanes run by themselves, and whether those of an .aligned barrier are converged is not tracked."},
      }};
}

TEST_CASE("cluster: planted faults") { check_study(cluster_study()); }

}  // namespace moe_tune::test
