#include "runtime/reference/half.hpp"

#include <bit>
#include <cmath>

namespace moe_tune {

namespace {

constexpr std::uint16_t canonical_nan = 0x7fff;

/// value / 2^shift, to nearest, ties to even. 0 < shift < 32.
std::uint32_t shift_right_rounding(std::uint32_t value, int shift) {
  const std::uint32_t quotient = value >> shift;
  const std::uint32_t remainder = value & ((1u << shift) - 1);
  const std::uint32_t half = 1u << (shift - 1);
  return quotient + (remainder > half || (remainder == half && (quotient & 1u)));
}

}  // namespace

std::uint16_t float_to_bf16(float value) {
  if (std::isnan(value)) return canonical_nan;
  // The formats share their exponent: rounding up may carry into it, and from the largest finite value to infinity.
  return static_cast<std::uint16_t>(shift_right_rounding(std::bit_cast<std::uint32_t>(value), 16));
}

std::uint16_t float_to_fp16(float value) {
  if (std::isnan(value)) return canonical_nan;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  constexpr std::uint32_t smallest_normal = 0x38800000u;  // 2^-14
  constexpr std::uint32_t overflow = 0x477ff000u;         // 65520: halfway from the largest finite value to the next power of two
  std::uint32_t rounded;
  if (magnitude >= overflow) {
    rounded = 0x7c00u;
  } else if (magnitude >= smallest_normal) {
    rounded = shift_right_rounding(magnitude - ((127u - 15u) << 23), 13);
  } else {
    // In units of 2^-24, the spacing of subnormals. Below half of it nothing is left.
    const int exponent = static_cast<int>(magnitude >> 23);
    constexpr int smallest_exponent = 127 - 25;
    if (exponent < smallest_exponent) return static_cast<std::uint16_t>(sign);
    rounded = shift_right_rounding((magnitude & 0x7fffffu) | 0x800000u, 126 - exponent);
  }
  return static_cast<std::uint16_t>(sign | rounded);
}

}  // namespace moe_tune
