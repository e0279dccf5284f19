// Atomics and fences that came with sm_90.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/atomics.cuh"
#include "ptx/cluster.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Threads add four neighbours at once.
MOE_DEVICE void sums_of_four(const Arguments& args) {
  const u32 thread = ptx::block_index() * 64 + ptx::thread_index();
  float values[4];
  for (int i = 0; i < 4; ++i) values[i] = ptx::load_constant(reinterpret_cast<const float*>(args.input) + thread * 4 + i);
  ptx::reduce_add_x4_f32(reinterpret_cast<float*>(args.output) + thread % 3 * 4, values);
}

/// From block to block of a cluster through global memory. Output: flags, then a word of each block.
MOE_DEVICE void pass_within_cluster(const Arguments& args) {
  if (ptx::thread_index() != 0) return;
  const u32 rank = ptx::cluster_rank();
  u32* const value = args.output + 4 + rank;
  if (rank == 0) {
    ptx::store(value, ptx::load_constant(args.input));
  } else {
    while (ptx::load_relaxed_gpu(args.output + rank - 1) == 0) {
    }
    ptx::fence_acq_rel_cluster();
    ptx::store(value, ptx::load(value - 1) * 2);
  }
  ptx::fence_acq_rel_cluster();
  ptx::store_relaxed_gpu(args.output + rank, 1);
}

}  // namespace moe_tune::micro
