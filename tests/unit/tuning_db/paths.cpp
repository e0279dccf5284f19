#include "tuning_db/paths.hpp"

#include <catch2/catch.hpp>

#include "tests/support/environment_variable.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;

TEST_CASE("MOE_TUNE_DB is a list, the default lies in the cache folder", "[paths]") {
  const test::EnvironmentVariable cache("MOE_TUNE_CACHE_DIR", "/cache");
  {
    const test::EnvironmentVariable list("MOE_TUNE_DB", "/a/x.json::/b/y.json:");
    CHECK(database_paths() == std::vector<std::filesystem::path>{"/a/x.json", "/b/y.json"});
  }
  const test::EnvironmentVariable none("MOE_TUNE_DB", std::nullopt);
  CHECK(database_paths() == std::vector<std::filesystem::path>{"/cache/db.json"});
  CHECK(journal_path("/cache/db.json") == "/cache/db.json.journal.jsonl");
}

TEST_CASE("of several databases the earlier wins, but a measurement beats a prediction", "[paths]") {
  const test::TemporaryFolder folder;
  Entry first = test::sample_entry(1, 100, Source::tuned, "2020-01-01T00:00:00Z");
  first.config = test::sample_config(16);
  Store(folder / "a.json").publish({first, test::sample_entry(101, 200, Source::predicted)});
  Store(folder / "b.json").publish({test::sample_entry(1, 300, Source::tuned)});
  const Database all = read_databases({folder / "a.json", folder / "absent.json", folder / "b.json"});
  REQUIRE(all.entries.size() == 2);
  CHECK(all.entries[0] == first);
  CHECK(all.entries[1].tokens.lo == 101);
  CHECK(all.entries[1].tokens.hi == 300);
  CHECK(all.entries[1].source == Source::tuned);
}
