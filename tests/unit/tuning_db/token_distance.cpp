#include "tuning_db/token_distance.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <utility>

using namespace moe_tune;

TEST_CASE("the nearer token count is the one with the smaller ratio, of equal ones the smaller", "[token_distance]") {
  CHECK(nearer(64, 256, 100));
  CHECK_FALSE(nearer(64, 256, 200));
  CHECK(nearer(64, 256, 128));
  CHECK_FALSE(nearer(256, 64, 128));
  CHECK_FALSE(nearer(64, 64, 128));
}

TEST_CASE("after the last token count that is nearer to the smaller one the larger one is", "[token_distance]") {
  constexpr std::int64_t top = std::numeric_limits<std::int64_t>::max();
  for (const auto& [small, large] :
       {std::pair<std::int64_t, std::int64_t>{1, 2}, {512, 1024}, {1, 1'000'000}, {3, top}, {top - 1, top}}) {
    const std::int64_t last = last_nearer_to_smaller(small, large);
    CHECK(last == last_nearer_to_smaller(large, small));
    CHECK(nearer(small, large, last));
    CHECK_FALSE(nearer(small, large, last + 1));
  }
}
