// Twin of templates/ptx/bulk_copy.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void bulk_load(u32 destination, const void* source, u32 bytes, u32 mbarrier) {
  machine().bulk_load(destination, source, bytes, mbarrier, false, 0);
}

MOE_DEVICE void bulk_load(u32 destination, const void* source, u32 bytes, u32 mbarrier, u64) {
  bulk_load(destination, source, bytes, mbarrier);
}

MOE_DEVICE void bulk_load_multicast(u32 destination, const void* source, u32 bytes, u32 mbarrier, u16 cta_mask) {
  machine().bulk_load(destination, source, bytes, mbarrier, true, cta_mask);
}

MOE_DEVICE void bulk_copy_to_cluster(u32 cluster_destination, u32 source, u32 bytes, u32 cluster_mbarrier) {
  machine().bulk_copy_to_cluster(cluster_destination, source, bytes, cluster_mbarrier);
}

MOE_DEVICE void bulk_store(void* destination, u32 source, u32 bytes) { machine().bulk_store(destination, source, bytes, false); }
MOE_DEVICE void bulk_store(void* destination, u32 source, u32 bytes, u64) { bulk_store(destination, source, bytes); }

MOE_DEVICE void bulk_reduce_add_f32(void* destination, u32 source, u32 bytes) {
  machine().bulk_store(destination, source, bytes, true);
}

MOE_DEVICE void bulk_commit() { machine().bulk_commit(); }

template <int Pending>
MOE_DEVICE void bulk_wait_read() {
  static_assert(Pending >= 0);
  machine().bulk_wait(Pending, true);
}

template <int Pending>
MOE_DEVICE void bulk_wait() {
  static_assert(Pending >= 0);
  machine().bulk_wait(Pending, false);
}

}  // namespace moe_tune::ptx
