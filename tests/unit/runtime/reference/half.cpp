#include "runtime/reference/half.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <utility>

using namespace moe_tune;

namespace {

/// The value of a pattern by the definition of its format: (-1)^sign * 1.mantissa * 2^(exponent - bias).
double value_of(unsigned bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = static_cast<int>(bits) & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000u ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

double bf16_value(unsigned bits) { return value_of(bits, 8, 7); }
double fp16_value(unsigned bits) { return value_of(bits, 5, 10); }

/// Every pattern reads as its definition says and comes back as it was; of NaNs the canonical one comes back.
template <class Widen, class Narrow, class Value>
void check_every_pattern(Widen widen, Narrow narrow, Value value) {
  int wrong = 0;
  for (unsigned bits = 0; bits < 0x10000u; ++bits) {
    const float wide = widen(static_cast<std::uint16_t>(bits));
    const double expected = value(bits);
    if (std::isnan(expected)) {
      wrong += !std::isnan(wide) || narrow(wide) != 0x7fff;
    } else {
      wrong += wide != expected || std::signbit(wide) != std::signbit(expected) || narrow(wide) != bits;
    }
  }
  CHECK(wrong == 0);
}

/// Between every two neighbours: below the middle rounds down, above it up, the middle to the even pattern. `infinity` is the
/// pattern of infinity, which is the upper neighbour of the largest finite value with the value that its exponent would have.
template <class Narrow, class Value>
void check_every_midpoint(Narrow narrow, Value value, unsigned infinity, double after_largest) {
  int wrong = 0;
  for (unsigned low = 0; low < infinity; ++low) {
    const double high_value = low + 1 == infinity ? after_largest : value(low + 1);
    const float middle = static_cast<float>((value(low) + high_value) / 2);  // exact: one bit more than the format has
    const float below = std::nextafter(middle, 0.0f);
    const float above = std::nextafter(middle, std::numeric_limits<float>::infinity());
    const unsigned even = low & 1u ? low + 1 : low;
    for (const auto& [input, expected] : {std::pair{below, low}, {middle, even}, {above, low + 1}}) {
      wrong += narrow(input) != expected;
      wrong += narrow(-input) != (expected | 0x8000u);
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("half: every bf16 pattern survives") { check_every_pattern(bf16_to_float, float_to_bf16, bf16_value); }

TEST_CASE("half: every fp16 pattern survives") { check_every_pattern(fp16_to_float, float_to_fp16, fp16_value); }

TEST_CASE("half: bf16 rounds to nearest even between all neighbours") {
  check_every_midpoint(float_to_bf16, bf16_value, 0x7f80, std::ldexp(1.0, 128));
}

TEST_CASE("half: fp16 rounds to nearest even between all neighbours") {
  check_every_midpoint(float_to_fp16, fp16_value, 0x7c00, std::ldexp(1.0, 16));
}

TEST_CASE("half: special values") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    CAPTURE(to_string(dtype));
    CHECK(from_float(nan, dtype) == 0x7fff);
    CHECK(from_float(-nan, dtype) == 0x7fff);
    CHECK(from_float(std::numeric_limits<float>::signaling_NaN(), dtype) == 0x7fff);
    CHECK(to_float(from_float(infinity, dtype), dtype) == infinity);
    CHECK(to_float(from_float(-infinity, dtype), dtype) == -infinity);
    CHECK(from_float(-0.0f, dtype) == 0x8000);
    CHECK(to_float(from_float(1.5f, dtype), dtype) == 1.5f);
  }
  CHECK(float_to_fp16(65504.0f) == 0x7bff);
  CHECK(float_to_fp16(1e10f) == 0x7c00);
  CHECK(float_to_fp16(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(float_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
}
