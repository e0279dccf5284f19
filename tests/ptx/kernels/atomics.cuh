// Ordered accesses to words that blocks share: what one block publishes, another sees.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/atomics.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

enum class Publish { store, add, reduce, exchange_fenced, add_fenced, compare_and_swap, store_fenced, store_fenced_system };

/// Sets a flag that was 0, by one thread, after what the block did.
template <Publish By>
MOE_DEVICE void publish(u32* flag) {
  if constexpr (By == Publish::store) ptx::store_release_gpu(flag, 1);
  if constexpr (By == Publish::add) ptx::atomic_add_acq_rel_gpu(flag, 1);
  if constexpr (By == Publish::reduce) ptx::reduce_add_release_gpu(flag, 1);
  if constexpr (By == Publish::compare_and_swap) ptx::atomic_cas_acq_rel_gpu(flag, 0, 1);
  if constexpr (By == Publish::exchange_fenced || By == Publish::add_fenced || By == Publish::store_fenced)
    ptx::fence_acq_rel_gpu();
  if constexpr (By == Publish::store_fenced_system) ptx::fence_acq_rel_system();
  if constexpr (By == Publish::exchange_fenced) ptx::atomic_exchange_relaxed_gpu(flag, 1);
  if constexpr (By == Publish::add_fenced) ptx::atomic_add_relaxed_gpu(flag, 1);
  if constexpr (By == Publish::store_fenced || By == Publish::store_fenced_system) ptx::store_relaxed_gpu(flag, 1);
}

template <Publish By>
MOE_DEVICE void wait_until_published(const u32* flag) {
  constexpr bool system = By == Publish::store_fenced_system;
  constexpr bool fenced = By == Publish::exchange_fenced || By == Publish::add_fenced || By == Publish::store_fenced || system;
  if constexpr (fenced) {
    while (ptx::load_relaxed_gpu(flag) == 0) {
    }
    if constexpr (system) {
      ptx::fence_acq_rel_system();
    } else {
      ptx::fence_acq_rel_gpu();
    }
  } else {
    while (ptx::load_acquire_gpu(flag) == 0) {
    }
  }
}

/// Block 0 writes 64 words and publishes them, block 1 copies them and publishes its copy, block 2 copies that. Output: two
/// flags, and from word 2 on the three rows.
template <Publish By>
MOE_DEVICE void pass_on(const Arguments& args) {
  const u32 block = ptx::block_index();
  const u32 t = ptx::thread_index();
  u32* const row = args.output + 2 + block * 64;
  u32 value = ptx::load_constant(args.input + t);
  if (block > 0) {
    if (t == 0) wait_until_published<By>(args.output + block - 1);
    ptx::block_barrier();
    value = ptx::load(row - 64 + (63 - t)) + 1;
  }
  ptx::store(row + t, value);
  ptx::block_barrier();
  if (block < 2 && t == 0) publish<By>(args.output + block);
}

/// Between two warps of a block, through global memory; only lane 0 of each takes part.
MOE_DEVICE void pass_within_block(const Arguments& args) {
  if (ptx::thread_index() == 0) {
    ptx::store(args.output + 1, ptx::load_constant(args.input));
    ptx::fence_acq_rel_cta();
    ptx::store_relaxed_gpu(args.output, 1);
  } else if (ptx::thread_index() == 32) {
    while (ptx::load_relaxed_gpu(args.output) == 0) {
    }
    ptx::fence_acq_rel_cta();
    ptx::store(args.output + 2, ptx::load(args.output + 1) * 2);
  }
}

/// The last block to arrive sums what all blocks wrote. Output: counter, sums of 32 columns, rows of all blocks.
template <int Blocks>
MOE_DEVICE void last_block_sums(const Arguments& args) {
  const u32 block = ptx::block_index();
  const u32 t = ptx::thread_index();
  u32* const rows = args.output + 33;
  ptx::store(rows + block * 32 + t, ptx::load_constant(args.input + block * 32 + t));
  ptx::block_barrier();
  const u32 last = ptx::shared_base();
  if (t == 0) ptx::store_shared(last, static_cast<int>(ptx::atomic_add_acq_rel_gpu(args.output, 1)));
  ptx::block_barrier();
  if (ptx::load_shared(last) != Blocks - 1) return;
  u32 sum = 0;
  for (int i = 0; i < Blocks; ++i) sum += ptx::load(rows + i * 32 + t);
  ptx::store(args.output + 1 + t, sum);
}

/// A lock by compare-and-swap around a weak read and write. Output: lock, value.
MOE_DEVICE void lock_guards_value(const Arguments& args) {
  if (ptx::thread_index() != 0) return;
  for (int round = 0; round < 3; ++round) {
    while (ptx::atomic_cas_acq_rel_gpu(args.output, 0, 1) != 0) {
    }
    ptx::store(args.output + 1, ptx::load(args.output + 1) * 3 + 1);
    ptx::store_release_gpu(args.output, 0);
  }
}

/// Blocks * 32 threads. Each puts a number of its own into word 0 and takes another out, and word 1 sums what was taken: the last
/// one to come also takes what is left. Word 2 counts by compare-and-swaps that fail and try again. Words 3 to 5: what a failing
/// one returns and leaves, and how many came.
template <int Blocks>
MOE_DEVICE void values_before(const Arguments& args) {
  const u32 thread = ptx::block_index() * 32 + ptx::thread_index();
  ptx::atomic_add_relaxed_gpu(args.output + 1, ptx::atomic_exchange_relaxed_gpu(args.output, thread * thread + 1));
  u32 seen = ptx::load_relaxed_gpu(args.output + 2);
  for (;;) {
    const u32 before = ptx::atomic_cas_acq_rel_gpu(args.output + 2, seen, seen + 1);
    if (before == seen) break;
    seen = before;
  }
  if (ptx::atomic_add_acq_rel_gpu(args.output + 5, 1) + 1 < Blocks * 32) return;
  ptx::atomic_add_relaxed_gpu(args.output + 1, ptx::atomic_exchange_relaxed_gpu(args.output, 0));
  ptx::store_relaxed_gpu(args.output + 4, 70);
  ptx::store(args.output + 3, ptx::atomic_cas_acq_rel_gpu(args.output + 4, 71, 72));
}

MOE_DEVICE void wraps_around(const Arguments& args) {
  if (ptx::thread_index() != 0) return;
  ptx::store(args.output + 1, ptx::atomic_add_relaxed_gpu(args.output, 4));
  ptx::store(args.output + 2, ptx::atomic_add_acq_rel_gpu(args.output, ~0u));
}

/// Many threads add to few floats.
MOE_DEVICE void float_sums(const Arguments& args) {
  const u32 thread = ptx::block_index() * 64 + ptx::thread_index();
  ptx::reduce_add_f32(reinterpret_cast<float*>(args.output) + thread % 5,
                      ptx::load_constant(reinterpret_cast<const float*>(args.input) + thread));
}

/// One addition for each word of output.
MOE_DEVICE void single_float_sums(const Arguments& args) {
  const u32 t = ptx::thread_index();
  ptx::reduce_add_f32(reinterpret_cast<float*>(args.output) + t,
                      ptx::load_constant(reinterpret_cast<const float*>(args.input) + t));
}

}  // namespace moe_tune::micro
