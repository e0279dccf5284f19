#include "runtime/reference/comparison.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

using namespace moe_tune;

TEST_CASE("comparison: the error of a row of float64 is relative to its size") {
  const auto error = [](const std::vector<double>& y, const std::vector<double>& reference) { return row_error(y, reference); };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(error({3, 4}, {3, 4}) == 0);
  CHECK(error({3, 4.5}, {3, 4}) == 0.1);
  CHECK(error({0, 0}, {0, 0}) == 0);
  CHECK(error({0, 1e-100}, {0, 0}) == infinity);
  CHECK(error({3, std::nan("")}, {3, 4}) == infinity);
  CHECK(error({3, 4}, {3, std::nan("")}) == infinity);
  CHECK(error({3, infinity}, {3, infinity}) == infinity);
  CHECK(error({3}, {3, 4}) == infinity);
}
