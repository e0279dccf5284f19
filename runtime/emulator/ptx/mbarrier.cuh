// Twin of templates/ptx/mbarrier.cuh. Every arrival releases and every wait acquires, whatever the scope.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void mbarrier_init(u32 mbarrier, u32 count) { machine().mbarrier_init(mbarrier, count); }
MOE_DEVICE void fence_mbarrier_init() { machine().fence_mbarrier_init(); }
MOE_DEVICE void mbarrier_invalidate(u32 mbarrier) { machine().mbarrier_invalidate(mbarrier); }

MOE_DEVICE void mbarrier_arrive(u32 mbarrier) { machine().mbarrier_arrive(mbarrier, 0); }
MOE_DEVICE void mbarrier_arrive_expect_tx(u32 mbarrier, u32 bytes) { machine().mbarrier_arrive(mbarrier, bytes); }
MOE_DEVICE void mbarrier_expect_tx(u32 mbarrier, u32 bytes) { machine().mbarrier_expect(mbarrier, bytes); }
MOE_DEVICE void mbarrier_arrive_cluster(u32 cluster_address) { machine().mbarrier_arrive(cluster_address, 0); }
MOE_DEVICE void mbarrier_arrive_cluster_relaxed(u32 cluster_address) { machine().mbarrier_arrive(cluster_address, 0); }

MOE_DEVICE void mbarrier_arrive_expect_tx_cluster(u32 cluster_address, u32 bytes) {
  machine().mbarrier_arrive(cluster_address, bytes);
}

MOE_DEVICE bool mbarrier_test_wait(u32 mbarrier, u32 parity) { return machine().mbarrier_test(mbarrier, parity); }
MOE_DEVICE bool mbarrier_try_wait(u32 mbarrier, u32 parity) { return machine().mbarrier_test(mbarrier, parity); }
MOE_DEVICE void mbarrier_wait(u32 mbarrier, u32 parity) { machine().mbarrier_wait(mbarrier, parity); }
MOE_DEVICE void mbarrier_wait_cluster(u32 mbarrier, u32 parity) { machine().mbarrier_wait(mbarrier, parity); }

}  // namespace moe_tune::ptx
