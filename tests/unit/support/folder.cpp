#include "generator/support/folder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "moe_tune/error.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
namespace fs = std::filesystem;

TEST_CASE("missing folders are created for this user alone, whatever the umask", "[folder]") {
  const test::TemporaryFolder folder;
  const mode_t old = umask(0);
  ensure_private_folder(folder / "a" / "b/");
  umask(old);
  CHECK(fs::status(folder / "a").permissions() == fs::perms::owner_all);
  CHECK(fs::status(folder / "a" / "b").permissions() == fs::perms::owner_all);
  CHECK_NOTHROW(ensure_private_folder(folder / "a" / "b"));
}

TEST_CASE("a folder that others may write is refused with the remedy", "[folder]") {
  const test::TemporaryFolder folder;
  for (const mode_t mode : {0777u, 0770u, 0702u, 01777u}) {
    REQUIRE(chmod(folder.path().c_str(), mode) == 0);
    CHECK_THROWS_WITH(ensure_private_folder(folder.path()), Catch::Contains("chmod go-w"));
  }
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  CHECK_NOTHROW(ensure_private_folder(folder.path()));
}

TEST_CASE("a link, a file or another user's folder is refused", "[folder]") {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "real");
  fs::create_directory_symlink(folder / "real", folder / "link");
  CHECK_THROWS_AS(ensure_private_folder(folder / "link"), EnvironmentError);
  CHECK_THROWS_AS(ensure_private_folder(folder / "link/"), EnvironmentError);
  std::ofstream(folder / "file") << "x";
  CHECK_THROWS_AS(ensure_private_folder(folder / "file"), EnvironmentError);
  CHECK_THROWS_AS(ensure_private_folder(folder / "file" / "below"), EnvironmentError);
  if (geteuid() == 0) {
    REQUIRE(chown((folder / "real").c_str(), 12345, 12345) == 0);
    CHECK_THROWS_WITH(ensure_private_folder(folder / "real"), Catch::Contains("belongs to user 12345"));
  }
}

TEST_CASE("the cache folder follows the environment", "[folder]") {
  const test::EnvironmentVariable home("HOME", "/home/someone");
  {
    const test::EnvironmentVariable cache("XDG_CACHE_HOME", "/cache");
    const test::EnvironmentVariable own("MOE_TUNE_CACHE_DIR", "/own");
    CHECK(user_cache_folder() == "/own");
    const test::EnvironmentVariable empty("MOE_TUNE_CACHE_DIR", "");
    CHECK(user_cache_folder() == "/cache/moe-tune");
  }
  const test::EnvironmentVariable cache("XDG_CACHE_HOME", std::nullopt);
  const test::EnvironmentVariable own("MOE_TUNE_CACHE_DIR", std::nullopt);
  CHECK(user_cache_folder() == "/home/someone/.cache/moe-tune");
}
