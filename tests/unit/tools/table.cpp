#include "tools/table.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <stdexcept>

#include "generator/support/json.hpp"

using namespace moe_tune;
using namespace moe_tune::cli;

namespace {

Table sample() {
  Table table({{"name"}, {"us", 2}, {"count"}, {"exact", 0, true}});
  table.add_row({std::string("a, \"b\""), 1.256, std::int64_t{7}, 0.1});
  table.add_row({std::string("long name"), Value(), std::int64_t{-12}, true});
  return table;
}

}  // namespace

TEST_CASE("A table for people aligns its columns and leaves data columns out") {
  CHECK(sample().text(Format::table) ==
        "name         us  count\n"
        "a, \"b\"     1.26      7\n"
        "long name     -    -12\n");
}

TEST_CASE("Colour only marks the header") {
  const std::string text = sample().text(Format::table, true);
  CHECK(text.starts_with("\x1b[1mname"));
  CHECK(text.find('\x1b', text.find('\n')) == std::string::npos);
}

TEST_CASE("JSON is a list of objects with exact values") {
  const auto document = parse_json(sample().text(Format::json), "table");
  const auto rows = document.root().elements();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("name").string() == "a, \"b\"");
  CHECK(rows[0].at("us").number() == 1.256);
  CHECK(rows[0].at("exact").number() == 0.1);
  CHECK(rows[1].at("us").is_null());
  CHECK(rows[1].at("count").integer<int>() == -12);
  CHECK(rows[1].at("exact").boolean());
}

TEST_CASE("CSV quotes what it must") {
  CHECK(sample().text(Format::csv) == "name,us,count,exact\n\"a, \"\"b\"\"\",1.256,7,0.1\nlong name,,-12,true\n");
}

TEST_CASE("An empty table is a header, an empty list, a header") {
  const Table table({{"a"}, {"b"}});
  CHECK(table.empty());
  CHECK(table.text(Format::table) == "a  b\n");
  CHECK(table.text(Format::json) == "[]\n");
  CHECK(table.text(Format::csv) == "a,b\n");
}

TEST_CASE("Texts from files cannot drive the terminal") {
  Table table({{"name"}});
  table.add_row({std::string("\x1b[31mred\n")});
  CHECK(table.text(Format::table) == "name\n?[31mred?\n");
}

TEST_CASE("A number that JSON cannot hold is not known") {
  Table table({{"x"}});
  table.add_row({std::numeric_limits<double>::quiet_NaN()});
  CHECK(table.text(Format::table) == "x\n-\n");
  CHECK(parse_json(table.text(Format::json), "table").root().elements()[0].at("x").is_null());
  CHECK(table.text(Format::csv) == "x\n\n");
}

TEST_CASE("A row with another number of cells is refused") {
  Table table({{"a"}, {"b"}});
  CHECK_THROWS_AS(table.add_row({Value()}), std::logic_error);
}
