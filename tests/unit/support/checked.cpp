#include "generator/support/checked.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"

using namespace moe_tune;

TEST_CASE("checked arithmetic is exact up to the limit and refuses beyond", "[checked]") {
  constexpr int64_t max = std::numeric_limits<int64_t>::max();
  CHECK(checked_mul(int64_t{1} << 31, int64_t{1} << 31, "area") == int64_t{1} << 62);
  CHECK(checked_mul(max, 1, "area") == max);
  CHECK_THROWS_AS(checked_mul(int64_t{1} << 32, int64_t{1} << 31, "area"), UsageError);
  CHECK(checked_add(max - 1, 1, "offset") == max);
  CHECK_THROWS_WITH(checked_add(max, 1, "offset"), Catch::Contains("offset") && Catch::Contains("9223372036854775807"));
}

TEST_CASE("narrow keeps values that fit and names those that do not", "[checked]") {
  CHECK(narrow<int>(2147483647, "rows") == 2147483647);
  CHECK(narrow<uint8_t>(255, "byte") == 255);
  CHECK_THROWS_WITH(narrow<int>(2147483648, "rows"), Catch::Contains("rows: 2147483648 is outside [-2147483648, 2147483647]"));
  CHECK_THROWS_WITH(narrow<uint32_t>(-1, "rows"), Catch::Contains("-1 is outside [0, 4294967295]"));
}
