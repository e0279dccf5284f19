// bf16 and fp16 on the CPU: exact conversions, with the bits that a GPU produces.
#pragma once

#include <bit>
#include <cstdint>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// The value of a bf16 pattern; exact. NaN stays NaN.
constexpr float bf16_to_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// The value of an fp16 pattern, subnormals included; exact. NaN stays NaN. Free of branches, so that loops over it vectorise.
constexpr float fp16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7fffu) << 13;
  // The exponent stands 127 - 15 too low. Multiplying, rather than adding to it, makes subnormals right as well.
  const float finite = std::bit_cast<float>(magnitude) * 0x1p112f;
  constexpr std::uint32_t infinity = 0x7f800000u;
  constexpr std::uint32_t largest_exponent = 0x1fu << 23;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(finite) | (magnitude >= largest_exponent ? infinity : 0u));
}

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
