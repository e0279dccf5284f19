#include "generator/support/log.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "generator/support/file.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;

namespace {

/// What a fresh process prints with this MOE_TUNE_LOG: the threshold is read once per process.
std::string printed(const char* level) {
  const test::TemporaryFolder folder;
  const test::EnvironmentVariable variable("MOE_TUNE_LOG", level);
  const auto path = folder / "stderr";
  const pid_t child = fork();
  if (child == 0) {
    if (std::freopen(path.c_str(), "w", stderr) == nullptr) _exit(1);
    log_line(LogLevel::error, "broken");
    log_line(LogLevel::warn, "odd");
    log_line(LogLevel::info, "fine");
    std::fflush(stderr);
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  REQUIRE(status == 0);
  return read_file(path, 1000);
}

}  // namespace

TEST_CASE("MOE_TUNE_LOG decides what is printed", "[log]") {
  CHECK(printed("error") == "moe-tune: error: broken\n");
  CHECK(printed("info") == "moe-tune: error: broken\nmoe-tune: warn: odd\nmoe-tune: info: fine\n");
  CHECK(printed("misspelt") == "moe-tune: error: broken\nmoe-tune: warn: odd\n");
}
