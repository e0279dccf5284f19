// Faults in gathering by cp.async.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

Study gather_study() {
  return {
      pipeline_subject(gather_case()),
      {
          {"no proxy fence before wgmma", "if constexpr (WrittenByThreads) ptx::fence_async_shared();", ""},
          {"arrives before its copies have", "ptx::cp_async_mbarrier_arrive_noinc(full);", "ptx::mbarrier_arrive(full);"},
          {"no arrival after the copies", "ptx::cp_async_mbarrier_arrive_noinc(full);", ""},
          {"the loader of B is not counted", "128 + 1", "128"},
          {"only one thread waits for an empty stage", "ring.wait_empty(position);",
           "if (thread == 0) ring.wait_empty(position);"},
          {"bytes of A announced too", "expect_tx(full, operand_bytes)", "expect_tx(full, GatherRing::stage_bytes)"},
          {"an index that is too large is not refused", "static_cast<u32>(index) < static_cast<u32>(args.tokens)", "index >= 0"},
          {"the first index that is too large is not refused", "< static_cast<u32>(args.tokens)",
           "<= static_cast<u32>(args.tokens)"},
          {"a negative index is not refused", "static_cast<u32>(index) < static_cast<u32>(args.tokens)", "index < args.tokens"},
          {"an index is read past the last row", "row < args.M ?", "row <= args.M ?"},
          {"chunks past K are read", "inside && sources[i] != 0", "sources[i] != 0"},
          {"missing rows are read", "inside && sources[i] != 0", "inside"},
          {"index of a row taken for that of an element", "static_cast<u64>(index) * args.K * 2", "static_cast<u64>(index) * 2"},
          {"k in elements, not bytes", "sources[i] + k * 2", "sources[i] + k"},
          {"written with a swizzle of fewer rows", "(row & 7u)", "(row & 3u)"},
          {"rows of a pass in chunks", "thread / chunks_per_row + i * rows_per_pass;",
           "thread / chunks_per_row + i * chunks_per_row;"},
      }};
}

TEST_CASE("gather: planted faults") { check_study(gather_study()); }

}  // namespace moe_tune::test
