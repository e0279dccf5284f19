// Faults in the order of two consumers.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study ping_pong_study() {
  return {pipeline_subject(ping_pong_case()),
          {
              {"no turns for the staging buffer", "ptx::mbarrier_wait(turns.staging(Consumer), turn);", ""},
              {"no turns for the products", "ptx::mbarrier_wait(turns.products(Consumer), turn);", ""},
              {"the turn is kept", "ptx::mbarrier_arrive(turns.staging(1 - Consumer));",
               "ptx::mbarrier_arrive(turns.staging(Consumer));"},
              {"the buffer is passed on before the store has read it",
               "ptx::bulk_wait_read<0>();\n      ptx::mbarrier_arrive(turns.staging(1 - Consumer));",
               "ptx::mbarrier_arrive(turns.staging(1 - Consumer));\n      ptx::bulk_wait_read<0>();"},
              {"no wait for the store", "ptx::bulk_wait_read<0>();", ""},
              {"nobody begins", "u32 turn = 1 - Consumer;", "u32 turn = 0;"},
              {"both begin", "u32 turn = 1 - Consumer;", "u32 turn = 1;"},
              {"the phase of the turns does not change", "turn ^= 1u;", ""},
              {"a turn needs four arrivals, and one comes", "turns.staging(consumer), 1", "turns.staging(consumer), 4"},
              {"the other's k-blocks are not skipped", "position.advance(static_cast<u32>(k_blocks));  // the other's tile", ""},
              {"consumer 1 begins at the first tile's k-blocks",
               "if (Consumer == 1) position.advance(static_cast<u32>(k_blocks));", ""},
              {"no proxy fence before the store", "ptx::fence_async_shared();", "", 2, 2},
              {"no barrier before the store", "ptx::named_barrier<1 + Consumer, 128>();", ""},
              {"a barrier of both consumers", "ptx::named_barrier<1 + Consumer, 128>();", "ptx::named_barrier<1, 256>();"},
              {"a consumer takes every tile", "tile += 2 * grid", "tile += grid"},
              {"the turns lie in the ring", "ring.base + study::NarrowRing::bytes", "ring.base + study::NarrowRing::bytes - 32"},
          }};
}

TEST_CASE("ping_pong: planted faults") { check_study(ping_pong_study()); }

}  // namespace moe_tune::test
