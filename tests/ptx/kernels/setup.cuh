// What micro-kernels of sm_90 begin with.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Thread 0 initialises Count barriers from `first` on, for asynchronous copies as well; then the block may use them.
template <int Count>
MOE_DEVICE void make_mbarriers(u32 first, u32 arrivals) {
  if (ptx::thread_index() == 0) {
    for (int i = 0; i < Count; ++i) ptx::mbarrier_init(first + i * 8, arrivals);
    ptx::fence_mbarrier_init();
  }
  ptx::block_barrier();
}

/// Sets words of shared memory to ones, for asynchronous copies too after the next barrier. By the whole block of Threads.
template <int Threads>
MOE_DEVICE void fill_with_ones(u32 address, int bytes) {
  for (int i = static_cast<int>(ptx::thread_index()) * 4; i < bytes; i += Threads * 4) ptx::store_shared(address + i, -1);
  ptx::fence_async_shared();
}

/// Copies input from 16-byte aligned words on to shared memory, for asynchronous copies and wgmma too after the next barrier.
template <int Threads>
MOE_DEVICE void fill_from(u32 address, const u32* source, int bytes) {
  for (int i = static_cast<int>(ptx::thread_index()) * 16; i < bytes; i += Threads * 16) {
    ptx::store_shared(address + i, ptx::load_constant_16(source + i / 4));
  }
  ptx::fence_async_shared();
}

/// Shared memory to output, word by word.
template <int Threads>
MOE_DEVICE void put_shared(u32* target, u32 address, int bytes) {
  for (int i = static_cast<int>(ptx::thread_index()); i < bytes / 4; i += Threads) {
    ptx::store(target + i, static_cast<u32>(ptx::load_shared(address + i * 4)));
  }
}

}  // namespace moe_tune::micro
