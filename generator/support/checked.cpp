#include "generator/support/checked.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"

namespace moe_tune {

int64_t checked_mul(int64_t a, int64_t b, std::string_view what) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw UsageError(fmt::format("{}: {} * {} does not fit 64 bits", what, a, b));
  }
  return result;
}

int64_t checked_add(int64_t a, int64_t b, std::string_view what) {
  int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) {
    throw UsageError(fmt::format("{}: {} + {} does not fit 64 bits", what, a, b));
  }
  return result;
}

void throw_out_of_range(int64_t value, int64_t lo, uint64_t hi, std::string_view what) {
  throw UsageError(fmt::format("{}: {} is outside [{}, {}]", what, value, lo, hi));
}

}  // namespace moe_tune
