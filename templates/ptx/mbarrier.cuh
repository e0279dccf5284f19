// mbarrier: a barrier in shared memory that counts arrivals of threads and bytes of asynchronous copies (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
//
// A barrier is 8 bytes, 8-byte aligned. Its phase ends when the awaited arrivals have come and the bytes that were announced have
// all landed; the counts then start again. A wait names the parity of a phase, 0 for the first, and returns when that phase has
// ended: a waiter keeps a bit that it flips after each wait. Waiting for parity 1 at a fresh barrier returns at once, which is
// how a producer finds its ring empty. Trap: only the phase in progress and the one before can be told apart, so no thread may
// fall a whole phase behind.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// ---- One barrier's life. By one thread.

/// `count` arrivals (1 to 2^20 - 1) end a phase. Other threads of the block use it after a barrier; asynchronous copies and other
/// blocks only after fence_mbarrier_init() by this thread and a block or cluster barrier.
MOE_DEVICE void mbarrier_init(u32 mbarrier, u32 count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(mbarrier), "r"(count) : "memory");
}

/// Makes mbarrier_init() visible to the cluster and to the async proxy. By the thread that initialised.
MOE_DEVICE void fence_mbarrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

/// Ends the barrier's life, so that its memory may hold something else. Nobody may still wait or arrive.
MOE_DEVICE void mbarrier_invalidate(u32 mbarrier) {
  asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(mbarrier) : "memory");
}

// ---- Arriving. By any thread; each call is one arrival. What the thread did before is ordered before what waiters do after
// (release, within the block unless said otherwise).

MOE_DEVICE void mbarrier_arrive(u32 mbarrier) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(mbarrier) : "memory");
}

/// Announces `bytes` (below 2^20 in all) for the phase and arrives. The copies may have been issued before or are issued after.
/// Trap: bytes that differ from what the copies bring hang the waiters; a TMA box brings its whole size, zero fill included.
MOE_DEVICE void mbarrier_arrive_expect_tx(u32 mbarrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(mbarrier), "r"(bytes) : "memory");
}

/// Announces bytes without arriving; orders nothing. The phase must be kept open by an arrival that comes later.
MOE_DEVICE void mbarrier_expect_tx(u32 mbarrier, u32 bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(mbarrier), "r"(bytes) : "memory");
}

/// Arrives at a barrier of any block of the cluster (address from map_to_rank() of ptx/cluster.cuh); release among the cluster.
/// Waiters who rely on that use mbarrier_wait_cluster(). Trap: the other block must not have ended.
MOE_DEVICE void mbarrier_arrive_cluster(u32 cluster_address) {
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(cluster_address) : "memory");
}

/// The same, but relaxed among the cluster: it says that this thread is done with what it has read, and passes on no writes. For
/// the ring of a multicast, where mbarrier_arrive_cluster() - a fence of the whole device - costs half the speed.
MOE_DEVICE void mbarrier_arrive_cluster_relaxed(u32 cluster_address) {
  // A release among this block. ".relaxed.cluster" makes the same instruction, but only compilers from CUDA 12.8 on know it.
  asm volatile("mbarrier.arrive.release.cta.shared::cluster.b64 _, [%0];" ::"r"(cluster_address) : "memory");
}

/// mbarrier_arrive_expect_tx() at a barrier of any block of the cluster; release among the cluster.
MOE_DEVICE void mbarrier_arrive_expect_tx_cluster(u32 cluster_address, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%0], %1;" ::"r"(cluster_address), "r"(bytes)
               : "memory");
}

// ---- Waiting. By any thread, at barriers of its own block. When the phase has ended, what arrivers did before, and the writes
// of the asynchronous copies, are visible to the calling thread (acquire, within the block unless said otherwise).

/// Whether the phase has ended; looks once.
MOE_DEVICE bool mbarrier_test_wait(u32 mbarrier, u32 parity) {
  u32 done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.test_wait.parity.acquire.cta.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(mbarrier), "r"(parity)
      : "memory");
  return done != 0;
}

/// Whether the phase has ended; may sleep until it does, up to a time limit of the hardware.
MOE_DEVICE bool mbarrier_try_wait(u32 mbarrier, u32 parity) {
  u32 done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(mbarrier), "r"(parity)
      : "memory");
  return done != 0;
}

MOE_DEVICE void mbarrier_wait(u32 mbarrier, u32 parity) {
  while (!mbarrier_try_wait(mbarrier, parity)) {
  }
}

/// Acquires among the cluster: for what mbarrier_arrive_cluster() released. Trap: costs far more than mbarrier_wait(), which does
/// for asynchronous copies, multicast by other blocks included.
MOE_DEVICE void mbarrier_wait_cluster(u32 mbarrier, u32 parity) {
  u32 done = 0;
  while (!done) {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}\n"
        : "=r"(done)
        : "r"(mbarrier), "r"(parity)
        : "memory");
  }
}

}  // namespace moe_tune::ptx
