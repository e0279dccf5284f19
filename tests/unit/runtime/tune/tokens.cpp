#include "runtime/tune/tokens.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using Counts = std::vector<int>;

TEST_CASE("token lists and ranges are read") {
  CHECK(parse_tokens("1") == Counts{1});
  CHECK(parse_tokens("16,1,16") == Counts{1, 16});
  CHECK(parse_tokens("1:8") == Counts{1, 2, 4, 8});
  CHECK(parse_tokens("3:20") == Counts{3, 4, 8, 16, 20});
  CHECK(parse_tokens("5:5") == Counts{5});
  CHECK(parse_tokens("1,16:64,100") == Counts{1, 16, 32, 64, 100});
  CHECK(parse_tokens("16777216") == Counts{max_tuned_tokens});
}

TEST_CASE("other token lists are refused with an example") {
  for (const char* text : {"", ",", "1,", "0", "-1", "x", "1.5", " 1", "8:1", ":4", "4:", "1:2:3", "16777217", "99999999999"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_tokens(text), Catch::Contains("example: 1,16,512"));
  }
}

TEST_CASE("ranges meet at the geometric middle, begin at 1 and end at twice the last") {
  const std::vector<TokenRange> ranges = token_ranges(Counts{1, 4, 64, 100});
  REQUIRE(ranges.size() == 4);
  CHECK(ranges[0] == TokenRange{1, 1, 2});
  CHECK(ranges[1] == TokenRange{4, 3, 16});
  CHECK(ranges[2] == TokenRange{64, 17, 80});
  CHECK(ranges[3] == TokenRange{100, 81, 200});
  CHECK(token_ranges(Counts{512})[0] == TokenRange{512, 1, 1024});
  CHECK(token_ranges(Counts{}).empty());
}

TEST_CASE("every measured count is in its own range, neighbours included") {
  const Counts counts{1, 2, 3, 4, 5, 6, max_tuned_tokens - 1, max_tuned_tokens};
  const std::vector<TokenRange> ranges = token_ranges(counts);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    CHECK(ranges[i].holds(counts[i]));
    if (i > 0) CHECK(ranges[i].lo == ranges[i - 1].hi + 1);
  }
}

TEST_CASE("the default ladder is ascending") {
  CHECK(default_tokens().front() == 1);
  CHECK(default_tokens().back() == 8192);
  CHECK(std::is_sorted(default_tokens().begin(), default_tokens().end()));
}
