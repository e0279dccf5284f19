// Shared memory by its 32-bit address: the block's dynamic shared memory is the only shared memory a kernel has.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// The first byte of the block's dynamic shared memory; 1024-byte aligned.
MOE_DEVICE u32 shared_base() {
  extern __shared__ __align__(1024) unsigned char dynamic_shared[];
  // Through an opaque move: the compiler then keeps the address in a register instead of computing it again in every loop.
  u32 address = static_cast<u32>(__cvta_generic_to_shared(dynamic_shared));
  asm volatile("mov.u32 %0, %0;" : "+r"(address));
  return address;
}

// Below: weak accesses of one thread through the generic proxy, each aligned to its size. Other threads see a store after a
// barrier; asynchronous copies and wgmma see it after fence_async_shared() (ptx/fence.cuh) and a barrier.

MOE_DEVICE void store_shared(u32 address, int value) {
  asm volatile("st.shared.s32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

MOE_DEVICE int load_shared(u32 address) {
  int value;
  asm volatile("ld.shared.s32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
  return value;
}

MOE_DEVICE void store_shared(u32 address, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}

MOE_DEVICE float load_shared_float(u32 address) {
  float value;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
  return value;
}

/// `address` is 16-byte aligned. A warp's 512 bytes go in four parts of 8 lanes, which should touch all 32 banks.
MOE_DEVICE void store_shared(u32 address, const Words4& value) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(value.v[0]), "r"(value.v[1]), "r"(value.v[2]),
               "r"(value.v[3])
               : "memory");
}

/// `address` is 16-byte aligned.
MOE_DEVICE Words4 load_shared_16(u32 address) {
  Words4 value;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.v[0]), "=r"(value.v[1]), "=r"(value.v[2]), "=r"(value.v[3])
               : "r"(address)
               : "memory");
  return value;
}

}  // namespace moe_tune::ptx
