// griddepcontrol: launches that overlap. Each sees what the one before it wrote, because it waits.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/grid_dependency.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Takes its word through Rounds steps, long enough that a launch that did not wait would read the word too early.
template <int Rounds>
MOE_DEVICE void steps_on_words(const Arguments& args) {
  ptx::launch_dependents();
  ptx::wait_for_dependencies();
  u32* const own = args.output + ptx::block_index() * 64 + ptx::thread_index();
  u32 value = ptx::load(own);
  MOE_NO_UNROLL
  for (int i = 0; i < Rounds; ++i) value = (value ^ value >> 15) * 0x2c1b3c6du + 1;
  ptx::store(own, value);
}

/// One thread waits for all of its block.
MOE_DEVICE void one_thread_waits(const Arguments& args) {
  if (ptx::thread_index() == 0) ptx::wait_for_dependencies();
  ptx::block_barrier();
  u32* const own = args.output + ptx::block_index() * 64 + ptx::thread_index();
  const u32 value = ptx::load(own) * 3 + 1;
  ptx::launch_dependents();
  ptx::store(own, value);
}

}  // namespace moe_tune::micro
