// Twin of templates/ptx/wgmma.cuh.
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune::ptx {

enum class Major { k, mn };
enum class SwizzleMode { none, b32, b64, b128 };

template <SwizzleMode Swizzle>
MOE_DEVICE u64 matrix_descriptor(u32 shared_address, u32 leading_bytes, u32 stride_bytes) {
  constexpr u64 codes[] = {0, 3, 2, 1};
  constexpr u32 field = 0x3fff;
  const u32 low = (shared_address >> 4 & field) | (leading_bytes >> 4 & field) << 16;
  return codes[static_cast<int>(Swizzle)] << 62 | static_cast<u64>(stride_bytes >> 4 & field) << 32 | low;
}

MOE_DEVICE u64 advance_descriptor(u64 descriptor, u32 bytes) {
  return (descriptor & 0xffffffff00000000ull) | (static_cast<u32>(descriptor) + (bytes >> 4));
}

MOE_DEVICE void warpgroup_fence() { machine().warpgroup_fence(); }
MOE_DEVICE void warpgroup_commit() { machine().warpgroup_commit(); }

template <int Pending>
MOE_DEVICE void warpgroup_wait() {
  static_assert(0 <= Pending && Pending < 8);
  machine().warpgroup_wait(Pending);
}

template <int Count>
MOE_DEVICE void keep_registers(float (&)[Count]) {}

template <DType Type, int N, Major AMajor = Major::k, Major BMajor = Major::k, int ScaleA = 1, int ScaleB = 1>
MOE_DEVICE void wgmma(float (&d)[N / 2], u64 a_descriptor, u64 b_descriptor, bool scale_d) {
  static_assert(N % 8 == 0 && 8 <= N && N <= 256);
  machine().warpgroup_mma({half_of<Type>, N, AMajor == Major::mn, BMajor == Major::mn, ScaleA, ScaleB, d, nullptr, a_descriptor,
                           b_descriptor, scale_d});
}

template <DType Type, int N, Major BMajor = Major::k, int ScaleA = 1, int ScaleB = 1>
MOE_DEVICE void wgmma_registers_a(float (&d)[N / 2], const u32 (&a)[4], u64 b_descriptor, bool scale_d) {
  static_assert(N % 8 == 0 && 8 <= N && N <= 256);
  machine().warpgroup_mma({half_of<Type>, N, false, BMajor == Major::mn, ScaleA, ScaleB, d, a, 0, b_descriptor, scale_d});
}

}  // namespace moe_tune::ptx
