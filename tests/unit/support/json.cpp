#include "generator/support/json.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "moe_tune/error.hpp"

using namespace moe_tune;

namespace {

std::string error_of(std::string_view text) {
  try {
    parse_json(text, "f.json");
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

std::string nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

}  // namespace

TEST_CASE("values come back typed and in file order", "[json]") {
  const auto document = parse_json(R"({"z": 1, "a": [true, -2.5, "x"], "n": null})", "f.json");
  const JsonView root = document.root();
  CHECK(root.at("z").integer<int>() == 1);
  CHECK(root.at("z").number() == 1.0);
  const auto list = root.at("a").elements();
  REQUIRE(list.size() == 3);
  CHECK(list[0].boolean());
  CHECK(list[1].number() == -2.5);
  CHECK(list[2].string() == "x");
  CHECK(root.at("n").is_null());
  CHECK_FALSE(root.find("absent"));
  CHECK(root.members()[0].first == "z");
  CHECK(json_text(root.raw()) == R"({"z":1,"a":[true,-2.5,"x"],"n":null})");
}

TEST_CASE("getters refuse other types and say where", "[json]") {
  const auto document =
      parse_json(R"({"list": [{"x": 3.7}], "big": 4294967296, "neg": -1, "huge": 18446744073709551615})", "f.json");
  const JsonView root = document.root();
  const JsonView x = root.at("list").elements()[0].at("x");
  CHECK_THROWS_WITH(x.integer<int>(), "f.json: list[0].x: expected an integer, found 3.7");
  CHECK_THROWS_WITH(x.string(), "f.json: list[0].x: expected a string, found 3.7");
  CHECK_THROWS_WITH(x.boolean(), Catch::Contains("expected true or false"));
  CHECK_THROWS_WITH(x.at("y"), Catch::Contains("expected an object"));
  CHECK_THROWS_WITH(root.at("list").at("y"), Catch::Contains("expected an object"));
  CHECK_THROWS_WITH(root.elements(), Catch::Contains("expected an array"));
  CHECK_THROWS_WITH(root.at("absent"), "f.json: the key \"absent\" is missing");
  CHECK_THROWS_WITH(root.at("big").integer<int>(), Catch::Contains("expected an integer in [-2147483648, 2147483647]"));
  CHECK(root.at("big").integer<int64_t>() == 4294967296);
  CHECK_THROWS_AS(root.at("neg").integer<uint32_t>(), UsageError);
  CHECK_THROWS_AS(root.at("neg").integer<int>(0), UsageError);
  CHECK_THROWS_AS(root.at("huge").integer<int64_t>(), UsageError);
  CHECK_THROWS_AS(root.at("huge").integer<uint64_t>(), UsageError);
}

TEST_CASE("hostile texts are refused with their position", "[json]") {
  CHECK(error_of("{\n \"a\": 1,\n \"a\": 2}") == "f.json:3:5: duplicate key \"a\"");
  CHECK_THAT(error_of("[1e400]"), Catch::StartsWith("f.json:1:"));
  CHECK_THAT(error_of("[-1e400]"), Catch::StartsWith("f.json:1:"));
  CHECK_THAT(error_of("[NaN]"), Catch::StartsWith("f.json:1:"));
  CHECK_THAT(error_of("[\"\xff\"]"), Catch::StartsWith("f.json:1:"));
  CHECK_THAT(error_of("[\"\xc0\x80\"]"), Catch::StartsWith("f.json:1:"));
  CHECK_THAT(error_of("[\"\\ud800\"]"), Catch::StartsWith("f.json:1:"));
  CHECK_THAT(error_of(""), Catch::StartsWith("f.json:1:1: "));
  CHECK_THAT(error_of("{} x"), Catch::StartsWith("f.json:1:4: "));
  CHECK_THAT(error_of("{} // comment"), Catch::StartsWith("f.json:1:4: "));
  CHECK_THAT(error_of("[1,]"), Catch::StartsWith("f.json:1:4: "));
  CHECK(error_of(std::string_view("{}\0garbage", 10)) == "f.json:1:3: a zero byte is not JSON");
}

TEST_CASE("depth and size have limits", "[json]") {
  CHECK(error_of(nested(64)) == "no error");
  CHECK(error_of(nested(65)) == "f.json:1:66: nested deeper than 64 levels");
  CHECK_THAT(error_of(nested(1000000)), Catch::Contains("nested deeper than 64"));
  CHECK_THAT(error_of(std::string(1000000, '{')), Catch::StartsWith("f.json:1:"));

  std::string text = "[" + std::string(max_json_bytes - 2, ' ') + "]";
  CHECK(error_of(text) == "no error");
  text += " ";
  CHECK(error_of(text) == "f.json: 16777217 bytes of JSON; the limit is 16777216");
}

TEST_CASE("long strings and numbers are refused", "[json]") {
  const std::string token(max_json_token_bytes, '1');
  CHECK(error_of("[\"" + token + "\"]") == "no error");
  CHECK(error_of("[\"" + token + "1\"]") == "f.json:1:2: a string or number longer than 1048576 bytes");
  CHECK_THAT(error_of("[" + token + "1]"), Catch::EndsWith("a string or number longer than 1048576 bytes"));
  CHECK_THAT(error_of("[\"" + token + "\\\"" + token), Catch::EndsWith("a string or number longer than 1048576 bytes"));
}

TEST_CASE("messages stay short whatever they quote", "[json]") {
  const std::string name(100000, 'n');
  CHECK(error_of("{\"" + name + "\":1,\"" + name + "\":2}").size() < 300);
  CHECK(error_of("[\"" + name).size() < 300);
  const auto document = parse_json("{\"" + name + "\": \"" + name + "\"}", "f.json");
  try {
    document.root().at(name).boolean();
    FAIL();
  } catch (const UsageError& e) {
    CHECK(std::string(e.what()).size() < 400);
  }
}

TEST_CASE("members are read one by one", "[json]") {
  std::string seen;
  const auto read = [&](std::string_view text) {
    seen.clear();
    for_each_json_member(text, "f.json", [&](const std::string& name, const JsonView& value) {
      seen += name + "=" + json_text(value.raw()) + ";";
      if (name == "bad") value.string();
    });
  };
  read(R"({"z": 1, "a": {"x": [true, {}], "y": []}, "": "s", "n": null})");
  CHECK(seen == R"(z=1;a={"x":[true,{}],"y":[]};="s";n=null;)");
  read("{}");
  CHECK(seen.empty());
  CHECK_THROWS_WITH(read(R"({"a": 1, "bad": [2]})"), "f.json: bad: expected a string, found [2]");
  CHECK_THROWS_WITH(read(R"({"a": 1, "a": 2})"), Catch::Contains("duplicate key"));
  CHECK(seen == "a=1;");
  for (const char* text : {"[]", "[{}]", "1", "\"s\"", "null"})
    CHECK_THROWS_WITH(read(text), Catch::Contains("expected an object"));
  CHECK_THROWS_AS(read(R"({"a": 1)"), UsageError);
  CHECK_THROWS_AS(read(R"({"a": 1} 2)"), UsageError);

  const auto array_of = [](int count) {
    std::string text = "{\"a\":[0";
    for (int i = 1; i < count; ++i) text += ",0";
    return text + "],\"b\":0}";
  };
  CHECK_NOTHROW(read(array_of(max_json_member_values - 1)));  // the array counts too
  CHECK_THROWS_WITH(read(array_of(max_json_member_values)), Catch::Contains("more than 10000 values in one member"));
}

TEST_CASE("an object of a million keys is read in linear time", "[json]") {
  std::string text = "{";
  for (int i = 0; i < 1000000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  CHECK(parse_json(text + "}", "f.json").root().raw().size() == 1000000);
}

TEST_CASE("writing replaces invalid UTF-8", "[json]") { CHECK(json_text(Json("a\xff")) == "\"a\uFFFD\""); }
