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

MOE_DEVICE void store_shared(u32 address, int value) {
  asm volatile("st.shared.s32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

MOE_DEVICE int load_shared(u32 address) {
  int value;
  asm volatile("ld.shared.s32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
  return value;
}

}  // namespace moe_tune::ptx
