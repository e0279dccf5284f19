#include "tuning_db/store.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_like(const fs::path& folder, const std::string& part) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().find(part) != std::string::npos) found.push_back(entry.path());
  }
  return found;
}

}  // namespace

TEST_CASE("published entries are read back, and merged into what is there", "[store]") {
  const test::TemporaryFolder folder;
  const Store store(folder / "cache" / "db.json");
  CHECK(store.read().entries.empty());
  store.publish({test::sample_entry(1, 100)});
  store.publish({test::sample_entry(101, 200)});
  CHECK(store.read().entries == std::vector<Entry>{test::sample_entry(1, 100), test::sample_entry(101, 200)});
  CHECK(fs::status(store.path()).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("a damaged file is set aside and what is intact lives on", "[store]") {
  const test::TemporaryFolder folder;
  const Store store(folder / "db.json");
  store.publish({test::sample_entry(1, 100), test::sample_entry(101, 200)});
  const std::string whole = read_file(store.path(), 1 << 20);
  const std::string torn = whole.substr(0, whole.size() - 30);
  for (size_t round = 1; round <= 2; ++round) {
    write_file_atomic(store.path(), torn);
    CHECK(store.read().damage.size() == 1);
    store.publish({test::sample_entry(101, 150)});
    CHECK(store.read().damage.empty());
    CHECK(store.read().entries.size() == 2);
    const auto aside = files_like(folder.path(), ".damaged-");
    REQUIRE(aside.size() == round);  // two in the same second do not overwrite each other
    for (const fs::path& path : aside) CHECK(read_file(path, 1 << 20) == torn);
  }
}

TEST_CASE("what is no database or a later one is never overwritten", "[store]") {
  const test::TemporaryFolder folder;
  for (const char* text : {"dear diary", R"({"schema":"moe-tune-db","schema_version":7})"}) {
    write_file_atomic(folder / "db.json", text);
    const Store store(folder / "db.json");
    CHECK_THROWS_AS(store.read(), UsageError);
    CHECK_THROWS_AS(store.publish({test::sample_entry()}), UsageError);
    CHECK(read_file(folder / "db.json", 1000) == text);
  }
}

TEST_CASE("whether entries can be published is known without publishing", "[store]") {
  const test::TemporaryFolder folder;
  const Store fresh(folder / "cache" / "db.json");
  fresh.ensure_publishable();
  CHECK(fs::is_directory(folder / "cache"));
  CHECK_FALSE(fs::exists(fresh.path()));

  write_file_atomic(folder / "diary.json", "dear diary");
  CHECK_THROWS_AS(Store(folder / "diary.json").ensure_publishable(), UsageError);

  fresh.publish({test::sample_entry()});
  fs::permissions(folder / "cache", fs::perms::all);
  CHECK_THROWS_WITH(fresh.ensure_publishable(), Catch::Contains("writable by others"));
  CHECK(fresh.read().entries.size() == 1);
}

TEST_CASE("publishing removes what killed writers left behind", "[store]") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder / "db.json.tmp-1-1", "half a file");
  Store(folder / "db.json").publish({test::sample_entry()});
  CHECK(files_like(folder.path(), ".tmp-").empty());
}
