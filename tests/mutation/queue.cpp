// Faults in handing out tiles.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study queue_study() {
  return {pipeline_subject(queue_case()),
          {
              {"no __syncwarp before the slot is given back", "ptx::warp_barrier();", ""},
              {"no wait for an empty slot", "ptx::mbarrier_wait(queue.empty(slot), (turn / slots & 1u) ^ 1u);", ""},
              {"waits for the other phase of empty", "(turn / slots & 1u) ^ 1u", "turn / slots & 1u"},
              {"no wait for a full slot", "ptx::mbarrier_wait(queue.full(slot), turn / slots & 1u);", ""},
              {"the phase changes with every slot", "queue.full(slot), turn / slots & 1u", "queue.full(slot), turn & 1u"},
              {"an empty slot needs one warp less", "queue.empty(slot), study::workers", "queue.empty(slot), study::workers - 1"},
              {"an empty slot needs all threads", "queue.empty(slot), study::workers", "queue.empty(slot), 32 * study::workers"},
              {"one slot less when drawing", "const u32 slot = turn % slots;", "const u32 slot = turn % (slots - 1);", 1, 2},
              {"arrives before the slot is written",
               "ptx::store_shared(queue.value(slot), more ? static_cast<int>(drawn) : -1);\n    "
               "ptx::mbarrier_arrive(queue.full(slot));",
               "ptx::mbarrier_arrive(queue.full(slot));\n    ptx::store_shared(queue.value(slot), more ? static_cast<int>(drawn) "
               ": -1);"},
              {"the end is not passed on", "more ? static_cast<int>(drawn) : -1", "static_cast<int>(drawn)"},
              {"tiles drawn by a load and a store", "ptx::atomic_add_relaxed_gpu(args.counters, 1);",
               "ptx::load_relaxed_gpu(args.counters);\n    ptx::store_relaxed_gpu(args.counters, drawn + 1);"},
              {"the last tile is not counted", "(static_cast<u32>(args.M) + tile_words - 1) / tile_words",
               "static_cast<u32>(args.M) / tile_words"},
              {"the word after the last one is stored", "word >= static_cast<u32>(args.M)", "word > static_cast<u32>(args.M)"},
              {"tile taken for a word", "static_cast<u32>(tile) * tile_words", "static_cast<u32>(tile)"},
              {"the counter is not set back", "ptx::store_relaxed_gpu(args.counters, 0);", ""},
              {"the first block sets the counter back", "== ptx::grid_size() - 1", "== 0"},
              {"no barrier after mbarrier.init", "ptx::block_barrier();", ""},
              {"blocks count as done without release and acquire", "ptx::atomic_add_acq_rel_gpu(", "ptx::atomic_add_relaxed_gpu(",
               1, 1,
               "Not modelled: atomics of one word take effect in the order in which they are made, so relaxed ones are not "
               "reordered against those of another word."},
          }};
}

TEST_CASE("queue: planted faults") { check_study(queue_study()); }

}  // namespace moe_tune::test
