// Faults in the ring that all matrix pipelines share, and in the warp-specialised pipeline around it.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study ring_study() {
  return {
      pipeline_subject(ring_case()),
      {
          // mbarriers
          {"no wait for a full stage", "ring.wait_full(position);", "", 2, 2},
          {"waits for the other phase of full", "full(position.stage), position.parity);",
           "full(position.stage), position.parity ^ 1u);"},
          {"no wait for an empty stage", "ring.wait_empty(position);", ""},
          {"waits for the other phase of empty", "position.parity ^ 1u);", "position.parity);"},
          {"consumers arrive at full instead of empty", "ptx::mbarrier_arrive(ring.empty(stage))",
           "ptx::mbarrier_arrive(ring.full(stage))"},
          {"every lane arrives", "if (ptx::lane_index() == 0) ptx::mbarrier_arrive", "ptx::mbarrier_arrive"},
          {"the last stage of a tile is not given back", "release(previous);", "", 2, 2},
          {"one arrival too many is awaited at empty", "ring.init(1, 8)", "ring.init(1, 9)"},
          {"one arrival too few is awaited at empty", "ring.init(1, 8)", "ring.init(1, 7)"},
          {"one arrival too many is awaited at full", "ring.init(1, 8)", "ring.init(2, 8)"},
          {"the parity does not change when the ring wraps", "parity ^= next / Stages & 1u;", ""},
          {"no fence after mbarrier.init", "ptx::fence_mbarrier_init();", ""},
          {"no barrier after mbarrier.init", "ptx::block_barrier();", ""},
          // TMA
          {"too few bytes announced", "expect_tx(full, WideRing::stage_bytes)", "expect_tx(full, WideRing::a_bytes)"},
          {"too many bytes announced", "expect_tx(full, WideRing::stage_bytes)", "expect_tx(full, WideRing::stage_bytes + 128)"},
          {"no bytes announced", "ptx::mbarrier_arrive_expect_tx(full, WideRing::stage_bytes)", "ptx::mbarrier_arrive(full)"},
          {"B lands at the wrong mbarrier", "&args.b, full,", "&args.b, ring.empty(position.stage),"},
          {"the last k-block is not loaded", "k < args.K; k += block_k", "k + block_k < args.K; k += block_k"},
          {"row of a tile in tiles", "k, tile % row_tiles * block_rows", "k, tile % row_tiles"},
          {"stages overlap", "base + stage * stage_bytes;", "base + stage * (stage_bytes - 1024);"},
          // wgmma
          {"no wgmma.fence", "ptx::warpgroup_fence();", ""},
          {"no wgmma.commit_group", "ptx::warpgroup_commit();", ""},
          {"no wait before a stage is given back", "ptx::warpgroup_wait<1>();", ""},
          {"waits for one group too few before a stage is given back", "ptx::warpgroup_wait<1>();", "ptx::warpgroup_wait<2>();"},
          {"an accumulator read before the wait", "ptx::warpgroup_wait<0>();",
           "const float early = acc[0];\n  ptx::warpgroup_wait<0>();\n  acc[0] = early;"},
          {"no wait at the end of a tile", "ptx::warpgroup_wait<0>();", ""},
          {"waits for one group too few at the end of a tile", "ptx::warpgroup_wait<0>();", "ptx::warpgroup_wait<1>();"},
          {"accumulators not pinned after the wait", "ptx::keep_registers(acc);", "", 1, 1,
           "Not modelled: it is no instruction, it keeps the GPU's compiler from moving accesses across the wait."},
          {"stride of A's descriptor halved", "(a, 0, 8 * row_bytes)", "(a, 0, 4 * row_bytes)"},
          {"stride of B's descriptor doubled", "(b, 0, 8 * row_bytes)", "(b, 0, 16 * row_bytes)"},
          {"descriptor of A with another swizzle than its map", "ptx::SwizzleMode::b128>(a", "ptx::SwizzleMode::b64>(a"},
          {"descriptor of B without a swizzle", "ptx::SwizzleMode::b128>(b", "ptx::SwizzleMode::none>(b"},
          {"descriptor advanced by elements, not bytes", "(a_descriptor, k * 32)", "(a_descriptor, k * 16)"},
          {"every k-block overwrites the sum", "!First || k > 0", "k > 0"},
          {"the sum of the tile before is not dropped", "!First || k > 0", "true"},
          {"the consumers have each other's rows", "consumer * operand_bytes", "(1 - consumer) * operand_bytes"},
          // registers
          {"the producer keeps its registers", "ptx::decrease_registers<40>();", ""},
          {"more registers than there are", "ptx::increase_registers<232>();", "ptx::increase_registers<240>();"},
          // stores
          {"rows past the last one are stored", "if (y_row >= args.M) continue;", ""},
          {"the row after the last one is stored", "y_row >= args.M", "y_row > args.M"},
          {"columns past the last one are stored", "if (y_column >= args.N) continue;", ""},
          {"row stride in elements, not bytes", "y_row, args.N * 2)", "y_row, args.N)"},
      }};
}

TEST_CASE("ring: planted faults") { check_study(ring_study()); }

}  // namespace moe_tune::test
