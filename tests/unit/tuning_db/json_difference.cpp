#include "tuning_db/json_difference.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;

TEST_CASE("what one value has more is found and put back, at any depth", "[json_difference]") {
  const Json full = Json::parse(R"({"a":1,"new":null,"o":{"x":1,"y":[1,2]},"l":[{"p":1},{"p":2,"q":3}]})");
  Json known = Json::parse(R"({"a":9,"o":{"x":1},"l":[{"p":1},{"p":2}]})");
  const Json difference = json_difference(full, known);
  CHECK(json_text(difference) == R"({"new":null,"o":{"y":[1,2]},"l":[null,{"q":3}]})");
  add_json_difference(known, difference);
  CHECK(known == Json::parse(R"({"a":9,"o":{"x":1,"y":[1,2]},"l":[{"p":1},{"p":2,"q":3}],"new":null})"));
}

TEST_CASE("equal values have no difference", "[json_difference]") {
  const Json value = Json::parse(R"({"a":[1,{"b":2}]})");
  CHECK(json_difference(value, value).is_null());
  CHECK(json_difference(3, 4).is_null());
}
