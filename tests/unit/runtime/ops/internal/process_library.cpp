// Library::instance() and the tuner that it is made with: where no other test has made it already.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>

#include "moe_tune/grouped_gemm.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using test::EnvironmentVariable;

namespace {

struct IdleTuner final : OnlineTuner {
  void tune(const Problem&, int, std::int64_t, const std::filesystem::path&) override {}
};

}  // namespace

TEST_CASE("The process's library tunes with the tuner that was plugged in before it was made") {
  const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);
  const test::TemporaryFolder folder;
  const EnvironmentVariable databases("MOE_TUNE_DB", (folder / "db.json").string());
  const EnvironmentVariable mode("MOE_TUNE_MODE", "tune");
  // In a process of its own, as there is one library in each.
  const pid_t child = fork();
  if (child == 0) {
    const auto refused = [](const auto& call) {
      try {
        call();
      } catch (const UsageError&) {
        return true;
      }
      return false;
    };
    const bool without = refused([] { Library::instance(); });
    const bool plugged = !refused([] { Library::set_tuner(std::make_shared<IdleTuner>()); });
    const bool made = !refused([] { Library::instance(); });
    const bool too_late = refused([] { Library::set_tuner(nullptr); });
    _exit((without ? 0 : 1) | (plugged ? 0 : 2) | (made ? 0 : 4) | (too_late ? 0 : 8));
  }
  int status = -1;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
