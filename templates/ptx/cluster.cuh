// Thread block clusters: position, barrier, and the shared memory of the other blocks (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// This block's position in its cluster, 0 to cluster_size() - 1. Without a cluster launch a block is its own cluster.
MOE_DEVICE u32 cluster_rank() {
  u32 rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

MOE_DEVICE u32 cluster_size() {
  u32 size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
}

/// Which cluster of the grid this is, 0 to cluster_count() - 1.
MOE_DEVICE u32 cluster_index() {
  u32 index;
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(index));
  return index;
}

MOE_DEVICE u32 cluster_count() {
  u32 count;
  asm("mov.u32 %0, %%nclusterid.x;" : "=r"(count));
  return count;
}

// ---- The barrier of the cluster. Every thread of every block arrives and then waits, whole warps together; no second arrival
// before the wait. A block must not end while others may still access its shared memory or arrive at its mbarriers: barrier
// before exit.

/// Releases what the thread did before to the cluster.
MOE_DEVICE void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }

/// Orders nothing: when only execution matters, or after fence_mbarrier_init().
MOE_DEVICE void cluster_arrive_relaxed() { asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory"); }

/// Waits until all threads of the cluster have arrived, and acquires what they released.
MOE_DEVICE void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

MOE_DEVICE void cluster_barrier() {
  cluster_arrive();
  cluster_wait();
}

// ---- Shared memory of other blocks. By one thread.

/// The cluster address of what lies at `address` of this block's shared memory in the block of rank `rank`.
MOE_DEVICE u32 map_to_rank(u32 address, u32 rank) {
  u32 mapped;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank));
  return mapped;
}

/// Weak; the other block sees it after a cluster barrier, or a release and acquire among the cluster. 4-byte aligned.
MOE_DEVICE void store_cluster(u32 cluster_address, int value) {
  asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(cluster_address), "r"(value) : "memory");
}

/// Weak; 4-byte aligned.
MOE_DEVICE int load_cluster(u32 cluster_address) {
  int value;
  asm volatile("ld.shared::cluster.s32 %0, [%1];" : "=r"(value) : "r"(cluster_address) : "memory");
  return value;
}

/// Stores 4 bytes asynchronously and then completes 4 bytes at an mbarrier of the same block as cluster_address: whoever waits
/// there sees the value. 4-byte aligned. Trap: the store is ordered with nothing but that mbarrier, not even this thread's own
/// accesses.
MOE_DEVICE void st_async(u32 cluster_address, u32 value, u32 cluster_mbarrier) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(cluster_address), "r"(value),
               "r"(cluster_mbarrier)
               : "memory");
}

/// The same with 16 bytes, 16-byte aligned.
MOE_DEVICE void st_async_x4(u32 cluster_address, const u32 (&values)[4], u32 cluster_mbarrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(cluster_address),
      "r"(values[0]), "r"(values[1]), "r"(values[2]), "r"(values[3]), "r"(cluster_mbarrier)
      : "memory");
}

}  // namespace moe_tune::ptx
