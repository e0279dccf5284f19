#include "generator/support/file.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "moe_tune/error.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
namespace fs = std::filesystem;

TEST_CASE("files come back as they were written, private and without leftovers", "[file]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "data";
  const std::string bytes("\0binary\n\xff", 9);
  umask(0);
  write_file_atomic(path, "old");
  write_file_atomic(path, bytes);
  CHECK(read_file(path, 9) == bytes);
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
  umask(022);
}

TEST_CASE("read_file refuses what is too large or no regular file", "[file]") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder / "data", "12345");
  CHECK(read_file(folder / "data", 5) == "12345");
  CHECK_THROWS_WITH(read_file(folder / "data", 4), Catch::Contains("data") && Catch::Contains("limit of 4 bytes"));
  CHECK_THROWS_WITH(read_file(folder / "absent", 4), Catch::Contains("absent") && Catch::Contains("No such file"));
  fs::create_symlink(folder / "data", folder / "link");
  CHECK_THROWS_WITH(read_file(folder / "link", 10), Catch::Contains("Symbolic links are not followed"));
  CHECK_THROWS_AS(read_file(folder.path(), 10), EnvironmentError);
  REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_file(folder / "fifo", 10), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(read_file("/dev/zero", 10), Catch::Contains("not a regular file"));
}

TEST_CASE("links that the user named are followed to their end", "[file]") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder / "data", "12345");
  fs::create_symlink("data", folder / "first");
  fs::create_symlink(folder / "first", folder / "second");
  fs::create_symlink("absent", folder / "dangling");
  CHECK(read_file(follow_links(folder / "second"), 5) == "12345");
  CHECK_THROWS_AS(follow_links(folder / "dangling"), EnvironmentError);
  CHECK_THROWS_WITH(follow_links(folder / "dangling"), Catch::Contains("cannot open") && Catch::Contains("dangling"));
}

TEST_CASE("write_file_atomic replaces a symlink instead of following it", "[file]") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder / "victim", "precious");
  fs::create_symlink(folder / "victim", folder / "link");
  write_file_atomic(folder / "link", "new");
  CHECK(read_file(folder / "victim", 100) == "precious");
  CHECK(read_file(folder / "link", 100) == "new");
}

TEST_CASE("orphan temporaries of a path are removed, others stay", "[file]") {
  const test::TemporaryFolder folder;
  for (const char* name : {"db.json.tmp-1-0", "db.json.tmp-77-3", "db.json", "other.tmp-1-0"})
    std::ofstream(folder / name) << "x";
  remove_orphan_temporaries(folder / "db.json");
  CHECK_FALSE(fs::exists(folder / "db.json.tmp-1-0"));
  CHECK_FALSE(fs::exists(folder / "db.json.tmp-77-3"));
  CHECK(fs::exists(folder / "db.json"));
  CHECK(fs::exists(folder / "other.tmp-1-0"));
}
