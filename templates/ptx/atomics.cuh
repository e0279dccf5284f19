// Ordered accesses to global words that several blocks share - queues, flags, counters - and thread fences (sm_80).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// Called by one thread; addresses are aligned to the size of the access, in global memory. A release orders what its thread did
// before, and what that thread knows of through a barrier; a thread that acquires the value is ordered after it. So: all threads
// write, block_barrier(), one thread releases; one thread acquires, block_barrier(), all threads read. Writes of bulk copies and
// TMA stores need fence_async_global() (ptx/fence.cuh) too. ".gpu": among the threads of one device.

MOE_DEVICE u32 load_acquire_gpu(const u32* address) {
  u32 value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}

/// Sees other threads' stores in the end and orders nothing.
MOE_DEVICE u32 load_relaxed_gpu(const u32* address) {
  u32 value;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}

MOE_DEVICE void store_release_gpu(u32* address, u32 value) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}

MOE_DEVICE void store_relaxed_gpu(u32* address, u32 value) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}

/// Returns the value before; wraps around.
MOE_DEVICE u32 atomic_add_relaxed_gpu(u32* address, u32 value) {
  u32 before;
  asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(address), "r"(value) : "memory");
  return before;
}

/// Returns the value before; both releases and acquires: the last of several arrivals sees what all the others wrote.
MOE_DEVICE u32 atomic_add_acq_rel_gpu(u32* address, u32 value) {
  u32 before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(address), "r"(value) : "memory");
  return before;
}

/// Adds without waiting for the value before.
MOE_DEVICE void reduce_add_release_gpu(u32* address, u32 value) {
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}

/// Returns the value before.
MOE_DEVICE u32 atomic_exchange_relaxed_gpu(u32* address, u32 value) {
  u32 before;
  asm volatile("atom.relaxed.gpu.global.exch.b32 %0, [%1], %2;" : "=r"(before) : "l"(address), "r"(value) : "memory");
  return before;
}

/// Stores `desired` where `expected` stands; returns the value before, which is `expected` exactly when it stored.
MOE_DEVICE u32 atomic_cas_acq_rel_gpu(u32* address, u32 expected, u32 desired) {
  u32 before;
  asm volatile("atom.acq_rel.gpu.global.cas.b32 %0, [%1], %2, %3;"
               : "=r"(before)
               : "l"(address), "r"(expected), "r"(desired)
               : "memory");
  return before;
}

/// Adds a float, rounding to nearest even; relaxed. Subnormal values and sums count as zero. The order of several additions, and
/// with it the last bits of the sum, changes from run to run.
MOE_DEVICE void reduce_add_f32(float* address, float value) {
  asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(address), "f"(value) : "memory");
}

/// Four neighbours by one instruction, each addition atomic by itself; `address` is 16-byte aligned. Needs sm_90.
MOE_DEVICE void reduce_add_x4_f32(float* address, const float (&values)[4]) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(values[0]), "f"(values[1]),
               "f"(values[2]), "f"(values[3])
               : "memory");
}

// Fences between this thread's accesses before and after, for observers in the block, the cluster, the device, the whole system.
// With a relaxed store after it a fence makes a release, with a relaxed load before it an acquire.

MOE_DEVICE void fence_acq_rel_cta() { asm volatile("fence.acq_rel.cta;" ::: "memory"); }

/// Needs sm_90.
MOE_DEVICE void fence_acq_rel_cluster() { asm volatile("fence.acq_rel.cluster;" ::: "memory"); }

MOE_DEVICE void fence_acq_rel_gpu() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }

MOE_DEVICE void fence_acq_rel_system() { asm volatile("fence.acq_rel.sys;" ::: "memory"); }

}  // namespace moe_tune::ptx
