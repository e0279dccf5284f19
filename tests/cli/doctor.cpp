#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "generator/support/json.hpp"
#include "tests/cli/sandbox.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

/// The state of the first finding of `check`.
std::string state_of(const CliResult& result, const std::string& check) {
  const auto document = parse_json(result.out, "doctor");
  for (const JsonView& row : document.root().elements()) {
    if (row.at("check").string() == check) return row.at("state").string();
  }
  return "";
}

}  // namespace

TEST_CASE("doctor is content with a machine that can predict") {
  const Sandbox box;
  const CliResult result = box.run({"doctor", "--format", "json"});
  INFO(result.out << result.err);
  CHECK(result.code == 0);
  CHECK(state_of(result, "driver") == "note");
  CHECK(state_of(result, "NVRTC") == "ok");
  CHECK(state_of(result, "compilation") == "ok");
  CHECK(state_of(result, "host compiler") == "ok");
  CHECK(state_of(result, "cache") == "ok");
  CHECK(state_of(result, "database") == "note");
  CHECK_THAT(result.out, Contains("MOE_TUNE_CACHE_DIR=" + box.cache()));
}

TEST_CASE("doctor finds a missing NVRTC, and says what to do") {
  Sandbox box;
  box.set("MOE_TUNE_NVRTC", (box / "libnvrtc.so").string());
  const CliResult result = box.run({"doctor", "--format", "json"});
  CHECK(result.code == 3);
  CHECK(state_of(result, "NVRTC") == "problem");
  CHECK_THAT(result.out, Contains("MOE_TUNE_NVRTC"));
}

TEST_CASE("doctor notes a missing host compiler, which is no problem, and says what to install") {
  Sandbox box;
  box.set("PATH", "/nonexistent");
  box.set("MOE_TUNE_HOST_CXX", "");
  box.set("CXX", "");
  const CliResult result = box.run({"doctor", "--format", "json"});
  CHECK(result.code == 0);
  CHECK(state_of(result, "host compiler") == "note");
  CHECK_THAT(result.out, Contains("Install g++"));
}

TEST_CASE("doctor finds a cache folder that others can write, and checks the rest") {
  const Sandbox box;
  std::filesystem::create_directory(box.cache());
  std::filesystem::permissions(box.cache(), std::filesystem::perms::all);
  const CliResult result = box.run({"doctor", "--format", "json"});
  CHECK(result.code == 3);
  CHECK(state_of(result, "cache") == "problem");
  CHECK(state_of(result, "NVRTC") == "ok");
}

TEST_CASE("doctor finds a bad database and a bad override file") {
  Sandbox box;
  std::ofstream(box / "db.json") << "not json";
  std::ofstream(box / "override.json") << "{}";
  box.set("MOE_TUNE_DB", (box / "db.json").string());
  box.set("MOE_TUNE_OVERRIDE", (box / "override.json").string());
  const CliResult result = box.run({"doctor", "--format", "json"});
  CHECK(result.code == 3);
  CHECK(state_of(result, "database") == "problem");
  CHECK(state_of(result, "override") == "problem");
}
