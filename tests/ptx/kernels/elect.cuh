// elect.sync: one lane, always the same. Which one is left open, so only that is said which holds for any.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/elect.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Per thread: whether one lane was elected, and the same one again.
MOE_DEVICE void elect_twice(const Arguments& args) {
  const u32 first = ptx::warp_ballot(ptx::elect_one());
  ptx::warp_barrier();
  const u32 second = ptx::warp_ballot(ptx::elect_one());
  ptx::store(args.output + ptx::thread_index() * 2, static_cast<u32>(first != 0 && (first & (first - 1)) == 0));
  ptx::store(args.output + ptx::thread_index() * 2 + 1, static_cast<u32>(first == second));
}

/// The elected lane of each warp counts its warp; the others do not.
MOE_DEVICE void elected_lanes_count(const Arguments& args) {
  if (ptx::elect_one()) ptx::atomic_add(args.output + ptx::thread_index() / 32, 1 + ptx::thread_index() / 32);
  ptx::warp_barrier();
}

}  // namespace moe_tune::micro
