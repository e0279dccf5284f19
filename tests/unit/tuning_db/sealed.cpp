#include "tuning_db/sealed.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace moe_tune;

namespace {

std::string line(int i) { return json_text(seal({{"i", i}, {"text", "a \"quoted\" {brace"}})) + "\n"; }

}  // namespace

TEST_CASE("a sealed record is intact until something in it changes", "[sealed]") {
  const Json record = {{"b", 1}, {"a", {{"x", 2.5}}}};
  Json sealed = seal(record);
  CHECK(sealed.begin().key() == "checksum");
  CHECK(is_sealed(sealed));
  CHECK(unseal(sealed) == record);
  sealed["a"]["x"] = 2.25;
  CHECK_FALSE(is_sealed(sealed));
  CHECK_FALSE(is_sealed(record));
  CHECK_FALSE(is_sealed({{"checksum", 3}}));
  CHECK_FALSE(is_sealed(Json::array()));
}

TEST_CASE("a scan finds every intact record among damage", "[sealed]") {
  const auto found = [](const std::string& text) {
    std::string result;
    const SealedScan scan = scan_sealed(text);
    for (const Json& record : scan.records) result += std::to_string(record["i"].get<int>());
    return result + " bad " + std::to_string(scan.bad_records);
  };
  CHECK(found(line(1) + line(2)) == "12 bad 0");
  CHECK(found("") == " bad 0");
  CHECK(found("garbage " + line(1)) == "1 bad 0");
  const std::string torn = line(1).substr(0, line(1).size() / 2);
  CHECK(found(torn + line(2)) == "2 bad 1");
  CHECK(found(line(2) + torn) == "2 bad 1");
  CHECK(found(torn + torn + line(3) + torn) == "3 bad 3");
  std::string changed = line(1);
  changed[changed.find("quoted")] = 'Q';
  CHECK(found(changed + line(2)) == "2 bad 1");
}
