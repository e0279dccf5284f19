// Global memory: loads through the read-only path, weak loads and stores, and the sticky status word.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// The start of a row: base + row * row_bytes, one 32x32+64-bit multiply-add.
MOE_DEVICE char* advance(char* base, int row, int row_bytes) { return base + static_cast<i64>(row) * row_bytes; }

/// A value that no thread of the kernel writes.
template <class T>
MOE_DEVICE T load_constant(const T* address) {
  return __ldg(address);
}

/// 16 bytes that no thread of the kernel writes and that are used once; `address` is 16-byte aligned.
MOE_DEVICE Words4 load_streaming(const void* address) {
  Words4 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.v[0]), "=r"(value.v[1]), "=r"(value.v[2]), "=r"(value.v[3])
               : "l"(address));
  return value;
}

/// 16 bytes that no thread of the kernel writes and that neighbours use too; `address` is 16-byte aligned.
MOE_DEVICE Words4 load_constant_16(const void* address) {
  Words4 value;
  asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(value.v[0]), "=r"(value.v[1]), "=r"(value.v[2]), "=r"(value.v[3])
      : "l"(address));
  return value;
}

/// A weak load of 1, 2, 4, 8 or 16 bytes, aligned to their size. The compiler may merge or move it between barriers: to wait for
/// another thread's store, use ptx/atomics.cuh.
template <class T>
MOE_DEVICE T load(const T* address) {
  static_assert(sizeof(T) == alignof(T) && sizeof(T) <= 16);
  return *address;
}

/// A weak store of 1, 2, 4 or 8 bytes, aligned to their size.
template <class T>
MOE_DEVICE void store(T* address, T value) {
  static_assert(sizeof(T) == alignof(T) && sizeof(T) <= 8, "16 bytes are stored through void*");
  *address = value;
}

/// `address` is 16-byte aligned.
MOE_DEVICE void store(void* address, const Words4& value) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(value.v[0]), "r"(value.v[1]), "r"(value.v[2]),
               "r"(value.v[3])
               : "memory");
}

/// Sets bits in a word that the host reads: system scope.
MOE_DEVICE void set_status(u32* status, u32 bits) { atomicOr_system(status, bits); }

/// Relaxed, at device scope; each returns the value before.
MOE_DEVICE u32 atomic_add(u32* address, u32 value) { return atomicAdd(address, value); }
MOE_DEVICE u32 atomic_max(u32* address, u32 value) { return atomicMax(address, value); }

}  // namespace moe_tune::ptx
