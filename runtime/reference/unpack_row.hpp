// Rows of 16-bit numbers as float or double.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "runtime/reference/half.hpp"

namespace moe_tune {

template <class Real>
std::vector<Real> unpack_row(const void* base, std::int64_t row, std::int64_t row_bytes, int count, DType dtype) {
  const auto* bits = reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(base) + row * row_bytes);
  std::vector<Real> values(count);
  std::transform(bits, bits + count, values.begin(), [dtype](std::uint16_t b) { return static_cast<Real>(to_float(b, dtype)); });
  return values;
}

}  // namespace moe_tune
