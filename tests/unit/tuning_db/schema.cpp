#include "tuning_db/schema.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"
#include "tuning_db/record_json.hpp"
#include "tuning_db/sealed.hpp"

using namespace moe_tune;

namespace {

Database sample_database() {
  Database database;
  database.entries = {test::sample_entry(1, 768), test::sample_entry(769, 1536)};
  database.entries[1].baseline.reset();
  database.entries[1].routing.alpha.reset();
  database.entries[1].env.key.mig.clear();
  database.entries[1].env.driver = "535.1";
  return database;
}

/// The text with one sealed record changed as if another version had written it.
template <class Change>
std::string rewritten(const Database& database, const char* table, Change change) {
  Json tree = Json::parse(encode_database(database));
  Json& record = *tree[table].begin();
  Json bare = unseal(record);
  change(bare);
  record = seal(bare);
  return json_text(tree);
}

}  // namespace

TEST_CASE("a database round-trips", "[schema]") {
  const Database database = sample_database();
  const std::string text = encode_database(database);
  const Database back = decode_database(text, "db.json");
  CHECK(back.damage.empty());
  REQUIRE(back.entries == database.entries);
  CHECK(encode_database(back) == text);
  CHECK(decode_database(encode_database({}), "db.json").entries.empty());
}

TEST_CASE("the text is JSON with one record per line and normalised tables", "[schema]") {
  const std::string text = encode_database(sample_database());
  const Json tree = Json::parse(text);
  CHECK(tree["schema"] == "moe-tune-db");
  CHECK(tree["schema_version"] == 1);
  CHECK(tree["environments"].size() == 2);
  CHECK(tree["generators"].size() == 1);
  CHECK(tree["workloads"].size() == 1);
  CHECK(tree["entries"][0]["workload"] == tree["workloads"].begin().key());
  CHECK(scan_sealed(text).records.size() == 6);
}

TEST_CASE("a reformatted file is still intact", "[schema]") {
  const Database database = sample_database();
  const std::string pretty = Json::parse(encode_database(database)).dump(4);
  const Database back = decode_database(pretty, "db.json");
  CHECK(back.damage.empty());
  CHECK(back.entries == database.entries);
}

TEST_CASE("unknown fields survive a rewrite, at every level", "[schema]") {
  const Database database = sample_database();
  Json tree = Json::parse(encode_database(database));
  Json header = {{"schema", "moe-tune-db"}, {"schema_version", 1}, {"owner", {{"team", "x"}}}};
  header = seal(header);
  for (const auto& [key, value] : tree.items()) {
    if (!header.contains(key)) header[key] = value;
  }
  tree = header;
  const auto extend = [](Json& record, auto change) {
    Json bare = unseal(record);
    change(bare);
    record = seal(bare);
  };
  extend(tree["entries"][0], [](Json& e) {
    e["power_w"] = 612.5;
    e["time_us"]["p99"] = 130;
    e["alternatives"][1]["why"] = "close";
  });
  extend(*tree["workloads"].begin(), [](Json& w) { w["model"] = "qwen3"; });

  const Database read = decode_database(json_text(tree), "db.json");
  CHECK(read.damage.empty());
  REQUIRE(read.entries.size() == 2);
  const Json again = Json::parse(encode_database(read));
  CHECK(again["owner"]["team"] == "x");
  CHECK(again["entries"][0]["power_w"] == 612.5);
  CHECK(again["entries"][0]["time_us"]["p99"] == 130);
  CHECK(again["entries"][0]["alternatives"][1]["why"] == "close");
  CHECK((*again["workloads"].begin())["model"] == "qwen3");
  CHECK(decode_database(json_text(again), "db.json").entries == read.entries);
}

TEST_CASE("an intact entry that only a later version understands is kept and not used", "[schema]") {
  const Database database = sample_database();
  const std::string text = rewritten(database, "entries", [](Json& e) { e["config"]["family"] = "sm123"; });
  const Database read = decode_database(text, "db.json");
  CHECK(read.damage.empty());
  CHECK(read.entries.size() == 1);
  const Json again = Json::parse(encode_database(read));
  REQUIRE(again["entries"].size() == 2);
  CHECK(again["entries"][1]["config"]["family"] == "sm123");

  const Database other_ids = decode_database(rewritten(database, "workloads", [](Json& w) { w["N"] = 8; }), "db.json");
  CHECK(other_ids.entries.empty());
  CHECK(other_ids.opaque_entries.size() == 2);

  const Database later_op = decode_database(rewritten(database, "workloads", [](Json& w) { w["op"] = "dZ"; }), "db.json");
  CHECK(later_op.entries.empty());
  CHECK(later_op.damage.empty());
  const Json rewritten_again = Json::parse(encode_database(later_op));
  CHECK(rewritten_again["entries"].size() == 2);
  CHECK((*rewritten_again["workloads"].begin())["op"] == "dZ");
}

TEST_CASE("a changed record is left out, the others stay", "[schema]") {
  std::string text = encode_database(sample_database());
  text.replace(text.find("123.456"), 7, "123.457");
  const Database read = decode_database(text, "db.json");
  REQUIRE(read.entries.size() == 1);
  CHECK(read.entries[0] == sample_database().entries[1]);
  REQUIRE(read.damage.size() == 1);
  CHECK(read.damage[0] == "db.json: entries[0]: wrong checksum");
}

TEST_CASE("an entry whose table record is damaged goes with it", "[schema]") {
  std::string text = encode_database(sample_database());
  text.replace(text.find("\"N\":1536"), 8, "\"N\":1528");
  const Database read = decode_database(text, "db.json");
  CHECK(read.entries.empty());
  CHECK(read.damage.size() == 3);
}

TEST_CASE("a torn file yields its intact records", "[schema]") {
  const std::string text = encode_database(sample_database());
  const Database read = decode_database(text.substr(0, text.size() - 20), "db.json");
  REQUIRE(read.entries.size() == 1);
  CHECK(read.entries[0] == sample_database().entries[0]);
  REQUIRE(read.damage.size() == 1);
  CHECK_THAT(read.damage[0], Catch::StartsWith("db.json:") && Catch::EndsWith("5 intact records found"));
}

TEST_CASE("a newer schema is refused, a damaged version number is not taken for one", "[schema]") {
  std::string text = encode_database(sample_database());
  text.replace(text.find("_version\":1"), 11, "_version\":3");
  const Database read = decode_database(text, "db.json");
  CHECK(read.entries == sample_database().entries);
  CHECK(read.damage.size() == 1);

  const std::string newer = json_text(seal({{"schema", "moe-tune-db"}, {"schema_version", 2}}));
  CHECK_THROWS_WITH(decode_database(newer, "db.json"), Catch::Contains("schema_version 2 is newer") && Catch::Contains("--db"));
  CHECK_THROWS_AS(decode_database(R"({"schema":"moe-tune-db","schema_version":2,"rows":[]})", "db.json"), UsageError);
}

TEST_CASE("a file that is something else is refused", "[schema]") {
  for (const char* text : {"dear diary", "{}", "[]", "null", R"({"schema":"other"})", "{\"forward\":{}}"}) {
    CHECK_THROWS_WITH(decode_database(text, "db.json"), Catch::StartsWith("db.json: not a moe-tune database"));
  }
  CHECK(decode_database("", "db.json").damage.size() == 1);  // a torn file of ours
}
