// Integer arithmetic that refuses to wrap: sizes and offsets that come from files or flags go through here.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

namespace moe_tune {

/// a * b. Throws UsageError naming `what` when the product does not fit 64 bits.
int64_t checked_mul(int64_t a, int64_t b, std::string_view what);

/// a + b. Throws UsageError naming `what` when the sum does not fit 64 bits.
int64_t checked_add(int64_t a, int64_t b, std::string_view what);

/// Throws the UsageError of narrow(): `value` is outside [lo, hi].
[[noreturn]] void throw_out_of_range(int64_t value, int64_t lo, uint64_t hi, std::string_view what);

/// `value` as a To. Throws UsageError naming `what`, the value and the range of To when it does not fit.
template <std::integral To>
To narrow(int64_t value, std::string_view what) {
  if (!std::in_range<To>(value)) {
    throw_out_of_range(value, static_cast<int64_t>(std::numeric_limits<To>::min()),
                       static_cast<uint64_t>(std::numeric_limits<To>::max()), what);
  }
  return static_cast<To>(value);
}

}  // namespace moe_tune
