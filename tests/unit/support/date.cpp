#include "generator/support/date.hpp"

#include <catch2/catch.hpp>
#include <regex>

TEST_CASE("utc_now is an ISO date that sorts as text", "[date]") {
  const std::string first = moe_tune::utc_now();
  CHECK(std::regex_match(first, std::regex(R"(20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ)")));
  CHECK(first <= moe_tune::utc_now());
}
