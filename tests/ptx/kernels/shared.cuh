// Shared memory by its address.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

// Each: thread t of Threads stores its input to place t and loads what another thread stored.

template <int Threads>
MOE_DEVICE void shared_words(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  const int first = static_cast<int>(ptx::block_index()) * Threads;
  ptx::store_shared(base + t * 4, static_cast<int>(ptx::load_constant(args.input + first + t)));
  ptx::block_barrier();
  ptx::store(args.output + first + t, static_cast<u32>(ptx::load_shared(base + (Threads - 1 - t) * 4)));
}

template <int Threads>
MOE_DEVICE void shared_floats(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  ptx::store_shared(base + t * 4, ptx::load_constant(reinterpret_cast<const float*>(args.input) + t));
  ptx::block_barrier();
  ptx::store(reinterpret_cast<float*>(args.output) + t, ptx::load_shared_float(base + (t ^ 5) * 4));
}

template <int Threads>
MOE_DEVICE void shared_16_bytes(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  ptx::store_shared(base + t * 16, ptx::load_constant_16(args.input + t * 4));
  ptx::block_barrier();
  ptx::store(static_cast<void*>(args.output + t * 4), ptx::load_shared_16(base + (Threads - 1 - t) * 16));
}

/// Each access size sees the bytes of the others.
MOE_DEVICE void shared_sizes_mixed(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  if (t == 0) ptx::store_shared(base + 16, ptx::load_constant_16(args.input));
  ptx::block_barrier();
  if (t < 4) {
    const int word = ptx::load_shared(base + 16 + t * 4);
    ptx::store(args.output + t, static_cast<u32>(word));
    ptx::store_shared(base + t * 4, word + 1);
  }
  ptx::block_barrier();
  if (t == 0) ptx::store(static_cast<void*>(args.output + 4), ptx::load_shared_16(base));
}

MOE_DEVICE void shared_base_alignment(const Arguments& args) {
  ptx::store(args.output + ptx::block_index() * 32 + ptx::thread_index(), ptx::shared_base() % 1024);
}

}  // namespace moe_tune::micro
