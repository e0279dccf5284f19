// The storage dtypes: conversion between float32 and pairs of 16-bit values, rounding to nearest even; and float32 arithmetic.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune {

enum class DType { bf16, fp16 };

}  // namespace moe_tune

namespace moe_tune::ptx {

/// low in bits 0-15, high in bits 16-31.
template <DType Type>
MOE_DEVICE u32 pack(float low, float high) {
  u32 word;
  if constexpr (Type == DType::bf16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  }
  return word;
}

template <DType Type>
MOE_DEVICE float unpack(u16 bits) {
  if constexpr (Type == DType::bf16) {
    return __uint_as_float(static_cast<u32>(bits) << 16);
  } else {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
  }
}

MOE_DEVICE float fused_multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }

/// 2^x to 2 units in the last place; subnormal arguments and results count as zero, NaN and infinities come out as expected.
MOE_DEVICE float exp2_approx(float x) {
  float value;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
  return value;
}

/// 1 / x to 1 unit in the last place; subnormal arguments give infinity, results that would be subnormal zero.
MOE_DEVICE float reciprocal_approx(float x) {
  float value;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
  return value;
}

MOE_DEVICE u32 float_bits(float value) { return __float_as_uint(value); }

}  // namespace moe_tune::ptx
