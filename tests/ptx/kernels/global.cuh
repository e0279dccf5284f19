// Global memory: weak and constant accesses of every size, relaxed atomics.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

template <class T>
MOE_DEVICE void weak_copy(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  ptx::store(reinterpret_cast<T*>(args.output) + t, ptx::load(reinterpret_cast<const T*>(args.input) + (t ^ 1)));
}

template <class T>
MOE_DEVICE void constant_copy(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  ptx::store(reinterpret_cast<T*>(args.output) + t, ptx::load_constant(reinterpret_cast<const T*>(args.input) + (t ^ 1)));
}

/// 16 bytes by each of the three loads.
MOE_DEVICE void copies_of_16_bytes(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  const u32* const source = args.input + (t ^ 1) * 4;
  ptx::store(static_cast<void*>(args.output + t * 4), ptx::load_streaming(source));
  ptx::store(static_cast<void*>(args.output + 128 + t * 4), ptx::load_constant_16(source));
  ptx::store(static_cast<void*>(args.output + 256 + t * 4), ptx::load(reinterpret_cast<const Words4*>(source)));
}

/// Row -t of rows of 12 bytes, counted from the last one.
MOE_DEVICE void rows_backwards(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  char* const last = reinterpret_cast<char*>(args.output + 31 * 3);
  ptx::store(reinterpret_cast<u32*>(ptx::advance(last, -t, 12)), ptx::load_constant(args.input + t));
}

/// What threads store in a round, others of the block load in the next.
MOE_DEVICE void stores_seen_after_barrier(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  u32* const own = args.output + t;
  ptx::store(own, ptx::load_constant(args.input + t));
  for (int round = 0; round < 4; ++round) {
    ptx::block_barrier();
    const u32 other = ptx::load(args.output + (t + 35) % 96);
    ptx::block_barrier();
    ptx::store(own, other * 3 + 1);
  }
}

MOE_DEVICE void status_bits(const Arguments& args) {
  const u32 thread = ptx::block_index() * 32 + ptx::thread_index();
  if (thread % 3 == 0) ptx::set_status(args.output + thread / 32 % 2, 1u << thread % 32);
}

/// Word 0 counts, word 1 is the maximum; places that the counts before give are marked.
MOE_DEVICE void atomics_return_before(const Arguments& args) {
  const u32 thread = ptx::block_index() * 64 + ptx::thread_index();
  const u32 value = ptx::load_constant(args.input + thread);
  ptx::store(args.output + 3 + ptx::atomic_add(args.output, 1), 1u);
  // The maximum only rises, so whoever raised it to the last one saw less.
  const u32 before = ptx::atomic_max(args.output + 1, value);
  if (before < value && value == 0xffffffffu) ptx::atomic_add(args.output + 2, 1);
}

}  // namespace moe_tune::micro
