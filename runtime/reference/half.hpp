// bf16 and fp16 on the CPU: exact conversions, with the bits that a GPU produces.
#pragma once

#include <cstdint>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// The value of a bf16 pattern; exact. NaN stays NaN.
float bf16_to_float(std::uint16_t bits);

/// The value of an fp16 pattern, subnormals included; exact. NaN stays NaN.
float fp16_to_float(std::uint16_t bits);

/// Rounds to nearest, ties to even; overflows to infinity; keeps subnormals; any NaN becomes 0x7fff, as the GPU's cvt does.
std::uint16_t float_to_bf16(float value);
std::uint16_t float_to_fp16(float value);

inline float to_float(std::uint16_t bits, DType dtype) {
  return dtype == DType::bf16 ? bf16_to_float(bits) : fp16_to_float(bits);
}
inline std::uint16_t from_float(float value, DType dtype) {
  return dtype == DType::bf16 ? float_to_bf16(value) : float_to_fp16(value);
}

}  // namespace moe_tune
