// Twin of templates/ptx/numeric.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune {

enum class DType { bf16, fp16 };

}  // namespace moe_tune

namespace moe_tune::ptx {

template <DType Type>
inline constexpr emulator::Half half_of = Type == DType::bf16 ? emulator::Half::bf16 : emulator::Half::fp16;

template <DType Type>
MOE_DEVICE u32 pack(float low, float high) {
  return machine().pack(half_of<Type>, low, high);
}

template <DType Type>
MOE_DEVICE float unpack(u16 bits) {
  return machine().unpack(half_of<Type>, bits);
}

MOE_DEVICE float fused_multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
/// What ".ftz" makes of an argument or a result.
inline float flushed(float x) { return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x; }

MOE_DEVICE float exp2_approx(float x) { return flushed(__builtin_exp2f(flushed(x))); }
MOE_DEVICE float reciprocal_approx(float x) { return flushed(1.0f / flushed(x)); }
MOE_DEVICE u32 float_bits(float value) { return __builtin_bit_cast(u32, value); }

}  // namespace moe_tune::ptx
