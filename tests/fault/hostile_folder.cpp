// Somebody else prepared the folder: links, pipes, open permissions. Nothing is followed, nothing blocks, nothing is exposed.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
namespace fs = std::filesystem;

namespace {

/// A folder with a file that must not change.
struct Scene {
  TemporaryFolder folder;
  fs::path victim = folder / "victim";
  fs::path cache = folder / "cache";
  Store store{cache / "db.json"};

  Scene() {
    write_file_atomic(victim, "precious");
    fs::create_directory(cache);
    fs::permissions(cache, fs::perms::owner_all);
  }

  void refused() const {
    CHECK_THROWS_AS(store.publish({sample_entry()}), EnvironmentError);
    CHECK(read_file(victim, 100) == "precious");
  }
};

}  // namespace

TEST_CASE("a folder that others own or may write is refused", "[fault]") {
  const Scene scene;
  for (const mode_t mode : {0777u, 01777u, 0770u}) {
    REQUIRE(chmod(scene.cache.c_str(), mode) == 0);
    scene.refused();
    CHECK_THROWS_AS(Journal(scene.cache / "journal.jsonl"), EnvironmentError);
  }
  if (geteuid() == 0) {
    REQUIRE(chmod(scene.cache.c_str(), 0700) == 0);
    REQUIRE(chown(scene.cache.c_str(), 12345, 12345) == 0);
    scene.refused();
  }
}

TEST_CASE("links are not followed", "[fault]") {
  const Scene scene;
  SECTION("at the folder") {
    fs::remove(scene.cache);
    fs::create_directory(scene.folder / "elsewhere");
    fs::create_directory_symlink(scene.folder / "elsewhere", scene.cache);
    scene.refused();
    CHECK(fs::is_empty(scene.folder / "elsewhere"));
  }
  SECTION("at the database") {
    fs::create_symlink(scene.victim, scene.store.path());
    scene.refused();
    CHECK_THROWS_AS(scene.store.read(), EnvironmentError);
  }
  SECTION("at the database, leading nowhere") {
    fs::create_symlink(scene.folder / "absent", scene.store.path());
    scene.refused();
    CHECK_FALSE(fs::exists(scene.folder / "absent"));
  }
  SECTION("at the lock") {
    fs::create_symlink(scene.victim, scene.cache / "db.json.lock");
    scene.refused();
  }
  SECTION("at the journal") {
    fs::create_symlink(scene.victim, scene.cache / "journal.jsonl");
    CHECK_THROWS_AS(Journal(scene.cache / "journal.jsonl"), EnvironmentError);
    CHECK_THROWS_AS(Journal::replay(scene.cache / "journal.jsonl"), EnvironmentError);
    CHECK(read_file(scene.victim, 100) == "precious");
  }
  SECTION("at every temporary name to come") {
    for (int i = 0; i < 60; ++i) {
      fs::create_symlink(scene.victim,
                         scene.store.path().string() + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(i));
    }
    write_file_atomic(scene.store.path(), "new");
    CHECK(read_file(scene.victim, 100) == "precious");
    CHECK(read_file(scene.store.path(), 100) == "new");
  }
}

TEST_CASE("pipes and folders in a file's place are refused without waiting", "[fault]") {
  const Scene scene;
  const fs::path place = scene.cache / GENERATE("db.json", "db.json.lock");
  SECTION("a pipe") { REQUIRE(mkfifo(place.c_str(), 0600) == 0); }
  SECTION("a folder") { fs::create_directory(place); }
  scene.refused();
}

TEST_CASE("a lock or journal of another user is refused", "[fault]") {
  if (geteuid() != 0) {
    WARN("skipped: giving files away needs root");
    return;
  }
  const Scene scene;
  const fs::path place = scene.cache / GENERATE("db.json.lock", "journal.jsonl");
  write_file_atomic(place, "");
  REQUIRE(chown(place.c_str(), 12345, 12345) == 0);
  if (place.extension() == ".lock") {
    scene.refused();
  } else {
    CHECK_THROWS_AS(Journal(place), EnvironmentError);
  }
}

TEST_CASE("whatever the umask, folders are 0700 and files 0600", "[fault]") {
  const TemporaryFolder folder;
  const mode_t old = umask(0);
  const fs::path cache = folder / "a" / "b";
  Store(cache / "db.json").publish({sample_entry()});
  Journal(cache / "journal.jsonl").append(sample_attempt());
  umask(old);
  CHECK(fs::status(folder / "a").permissions() == fs::perms::owner_all);
  CHECK(fs::status(cache).permissions() == fs::perms::owner_all);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(cache)) {
    CHECK(entry.status().permissions() == (fs::perms::owner_read | fs::perms::owner_write));
    ++files;
  }
  CHECK(files == 3);
}
