// cp.async.bulk: contiguous bytes between global and shared memory and between the shared memories of a cluster (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
//
// Called by one thread; all are asynchronous and of the async proxy. Addresses are 16-byte aligned, sizes positive multiples
// of 16.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// ---- To shared memory. The bytes are completed at an mbarrier of the block that gets them, where somebody announces them
// (mbarrier_arrive_expect_tx); waiting there makes the data visible. Trap: global data that other blocks' ordinary stores wrote
// in this kernel wants fence_async_global() (ptx/fence.cuh) after the acquire of their flag.

MOE_DEVICE void bulk_load(u32 destination, const void* source, u32 bytes, u32 mbarrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(destination),
               "l"(source), "r"(bytes), "r"(mbarrier)
               : "memory");
}

/// With an L2 policy (ptx/cache_policy.cuh).
MOE_DEVICE void bulk_load(u32 destination, const void* source, u32 bytes, u32 mbarrier, u64 policy) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
                   destination),
               "l"(source), "r"(bytes), "r"(mbarrier), "l"(policy)
               : "memory");
}

/// To the same shared address of every block of the cluster whose bit (1 << rank) is set in `cta_mask`, completed at the same
/// mbarrier address of each; each of them announces the bytes itself. Compilers advise against it on anything but sm_90a.
MOE_DEVICE void bulk_load_multicast(u32 destination, const void* source, u32 bytes, u32 mbarrier, u16 cta_mask) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], %4;" ::"r"(
          destination),
      "l"(source), "r"(bytes), "r"(mbarrier), "h"(cta_mask)
      : "memory");
}

/// From this block's shared memory to another block's; cluster addresses from map_to_rank() (ptx/cluster.cuh), destination and
/// mbarrier in the same block. Ordinary writes to the source: fence_async_shared() and a barrier before.
MOE_DEVICE void bulk_copy_to_cluster(u32 cluster_destination, u32 source, u32 bytes, u32 cluster_mbarrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(cluster_destination),
      "r"(source), "r"(bytes), "r"(cluster_mbarrier)
      : "memory");
}

// ---- From shared to global memory. Every thread that wrote the source executes fence_async_shared(), then a barrier with this
// thread; completion is by the bulk groups below.

MOE_DEVICE void bulk_store(void* destination, u32 source, u32 bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(destination), "r"(source), "r"(bytes)
               : "memory");
}

/// With an L2 policy.
MOE_DEVICE void bulk_store(void* destination, u32 source, u32 bytes, u64 policy) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%0], [%1], %2, %3;" ::"l"(destination), "r"(source),
               "r"(bytes), "l"(policy)
               : "memory");
}

/// Adds floats to those in global memory; each addition is atomic and relaxed at device scope, in no particular order, and
/// takes subnormals for zero.
MOE_DEVICE void bulk_reduce_add_f32(void* destination, u32 source, u32 bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(destination), "r"(source),
               "r"(bytes)
               : "memory");
}

// ---- Bulk groups: of the thread that issued the stores, TMA stores included. Loads do not belong to them.

/// Closes the group of what this thread has issued since the last commit.
MOE_DEVICE void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

/// Waits until at most `Pending` of this thread's groups have not yet read their shared memory, which may then be written again -
/// by other threads after a barrier. The global writes may not be done.
template <int Pending>
MOE_DEVICE void bulk_wait_read() {
  static_assert(Pending >= 0);
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Pending) : "memory");
}

/// Waits until at most `Pending` of this thread's groups are unfinished; their global writes are then visible to this thread, and
/// to others after fence_async_global() and a release. Shared memory must stay until bulk_wait_read() at least: a block that ends
/// earlier pulls it from under its stores.
template <int Pending>
MOE_DEVICE void bulk_wait() {
  static_assert(Pending >= 0);
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Pending) : "memory");
}

}  // namespace moe_tune::ptx
