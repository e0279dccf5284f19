// bf16 and fp16 by their definition, in double arithmetic: slow, and unlike the conversions that the project uses.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace moe_tune::test {

struct HalfFormat {
  const char* name;  ///< of the enumerator in a kernel
  int fraction_bits;
  int exponent_bits;

  int smallest_exponent() const { return 2 - (1 << (exponent_bits - 1)); }
  std::uint16_t infinity() const { return static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << fraction_bits); }
};

inline constexpr HalfFormat bf16_format{"DType::bf16", 7, 8};
inline constexpr HalfFormat fp16_format{"DType::fp16", 10, 5};

/// The nearest value, ties to even; any NaN becomes 0x7fff.
inline std::uint16_t to_half(const HalfFormat& format, double value) {
  if (std::isnan(value)) return 0x7fff;
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isinf(value)) return sign | format.infinity();
  if (value == 0) return sign;
  int exponent = 0;
  std::frexp(value, &exponent);
  exponent = std::max(exponent - 1, format.smallest_exponent());
  // In units of the last place.
  const double rounded = std::nearbyint(std::ldexp(std::abs(value), format.fraction_bits - exponent));
  const std::int64_t magnitude =
      (std::int64_t{exponent - format.smallest_exponent()} << format.fraction_bits) + static_cast<std::int64_t>(rounded);
  return sign | static_cast<std::uint16_t>(std::min<std::int64_t>(magnitude, format.infinity()));
}

/// Exact; NaN as NaN.
inline float from_half(const HalfFormat& format, std::uint16_t word) {
  const int magnitude = word & 0x7fff;
  const int field = magnitude >> format.fraction_bits;
  const int fraction = magnitude & ((1 << format.fraction_bits) - 1);
  double value = 0;
  if (magnitude >= format.infinity()) {
    value = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else {
    const int one = field == 0 ? 0 : 1 << format.fraction_bits;
    value = std::ldexp(one + fraction, format.smallest_exponent() + std::max(field - 1, 0) - format.fraction_bits);
  }
  return static_cast<float>((word & 0x8000) != 0 ? -value : value);
}

}  // namespace moe_tune::test
