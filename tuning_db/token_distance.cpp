#include "tuning_db/token_distance.hpp"

#include <algorithm>

namespace moe_tune {
namespace {

using Wide = unsigned __int128;  // holds the product of two token counts

}  // namespace

bool nearer(std::int64_t a, std::int64_t b, std::int64_t tokens) {
  const auto wide_max = [&](std::int64_t measured) { return static_cast<Wide>(std::max(measured, tokens)); };
  const auto wide_min = [&](std::int64_t measured) { return static_cast<Wide>(std::min(measured, tokens)); };
  const Wide ratio_a = wide_max(a) * wide_min(b);  // both ratios times both minima
  const Wide ratio_b = wide_max(b) * wide_min(a);
  return ratio_a != ratio_b ? ratio_a < ratio_b : a < b;
}

std::int64_t last_nearer_to_smaller(std::int64_t a, std::int64_t b) {
  const Wide product = static_cast<Wide>(a) * static_cast<Wide>(b);
  std::int64_t low = std::min(a, b);  // its square is at most the product
  std::int64_t high = std::max(a, b);
  while (low < high) {
    const std::int64_t middle = high - (high - low) / 2;
    if (static_cast<Wide>(middle) * static_cast<Wide>(middle) <= product) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace moe_tune
