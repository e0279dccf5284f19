// Twin of templates/ptx/cp_async.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

template <int Offset>
MOE_DEVICE void cp_async_16(u32 shared_address, u64 global_address, bool valid) {
  static_assert(-(1 << 23) <= Offset && Offset < (1 << 23));
  machine().copy_async(shared_address, global_address + static_cast<u64>(static_cast<i64>(Offset)), valid);
}

MOE_DEVICE void cp_async_commit() { machine().copy_async_commit(); }

template <int Pending>
MOE_DEVICE void cp_async_wait() {
  static_assert(Pending >= 0);
  machine().copy_async_wait(Pending);
}

MOE_DEVICE void cp_async_mbarrier_arrive_noinc(u32 mbarrier) { machine().copy_async_arrive(mbarrier); }

}  // namespace moe_tune::ptx
