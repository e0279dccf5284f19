// Twin of templates/ptx/cluster.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE u32 cluster_rank() { return machine().position->cluster_rank; }
MOE_DEVICE u32 cluster_size() { return machine().position->cluster_size; }
MOE_DEVICE u32 cluster_index() { return machine().position->block / machine().position->cluster_size; }
MOE_DEVICE u32 cluster_count() { return machine().position->grid / machine().position->cluster_size; }

MOE_DEVICE void cluster_arrive() { machine().cluster_arrive(true); }
MOE_DEVICE void cluster_arrive_relaxed() { machine().cluster_arrive(false); }
MOE_DEVICE void cluster_wait() { machine().cluster_wait(); }

MOE_DEVICE void cluster_barrier() {
  cluster_arrive();
  cluster_wait();
}

MOE_DEVICE u32 map_to_rank(u32 address, u32 rank) { return machine().map_to_rank(address, rank); }

MOE_DEVICE void store_cluster(u32 cluster_address, int value) { machine().store_shared(cluster_address, &value, 4); }

MOE_DEVICE int load_cluster(u32 cluster_address) {
  int value;
  machine().load_shared(cluster_address, &value, 4);
  return value;
}

MOE_DEVICE void st_async(u32 cluster_address, u32 value, u32 cluster_mbarrier) {
  machine().store_async(cluster_address, &value, 1, cluster_mbarrier);
}

MOE_DEVICE void st_async_x4(u32 cluster_address, const u32 (&values)[4], u32 cluster_mbarrier) {
  machine().store_async(cluster_address, values, 4, cluster_mbarrier);
}

}  // namespace moe_tune::ptx
