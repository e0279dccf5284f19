#include "generator/support/file_lock.hpp"

#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "moe_tune/error.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;

TEST_CASE("a second lock waits for the first", "[file_lock]") {
  const test::TemporaryFolder folder;
  std::atomic<bool> released = false;
  std::atomic<bool> overtook = false;
  std::thread second;
  {
    const FileLock first(folder / "lock");
    second = std::thread([&] {
      const FileLock lock(folder / "lock");
      overtook = !released;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    released = true;
  }
  second.join();
  CHECK_FALSE(overtook);
}

TEST_CASE("a lock file that is a link or a pipe is refused", "[file_lock]") {
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink(folder / "elsewhere", folder / "link");
  CHECK_THROWS_AS(FileLock(folder / "link"), EnvironmentError);
  CHECK_FALSE(std::filesystem::exists(folder / "elsewhere"));
  REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(FileLock(folder / "fifo"), Catch::Contains("not a regular file"));
}
