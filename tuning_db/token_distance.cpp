#include "tuning_db/token_distance.hpp"

#include <algorithm>
#include <cmath>

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
  auto mean = static_cast<std::int64_t>(std::sqrt(static_cast<double>(a)) * std::sqrt(static_cast<double>(b)));
  const Wide product = static_cast<Wide>(a) * static_cast<Wide>(b);
  const auto square = [](std::int64_t t) { return static_cast<Wide>(t) * static_cast<Wide>(t); };
  while (square(mean) > product) --mean;
  while (square(mean + 1) <= product) ++mean;
  return mean;
}

}  // namespace moe_tune
