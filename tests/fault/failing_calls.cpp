// Every system call fails in turn: the old file stays as it was, the error names the path, and the next try succeeds.
#include <sched.h>
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"
#include "tests/fault/processes.hpp"
#include "tests/fault/system_calls.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
namespace fs = std::filesystem;

namespace {

constexpr size_t limit = 1 << 20;

struct Kind {
  Fault fault;
  int error_number;
};

int temporaries(const fs::path& folder) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    count += entry.path().string().find(".tmp-") != std::string::npos ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("a failing system call costs a publisher nothing but the attempt", "[fault]") {
  const auto kind = GENERATE(Kind{Fault::error, EIO}, Kind{Fault::error, ENOSPC}, Kind{Fault::short_write, 0});
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  int failures = 0;
  int call_number = 1;
  for (bool reached = true; reached; ++call_number) {
    fs::remove_all(folder / "db.json");
    store.publish({sample_entry(1, 1)});
    const std::string old_bytes = read_file(store.path(), limit);
    std::string error;
    std::string name;
    {
      const FailingCall call(call_number, kind.fault, kind.error_number);
      try {
        store.publish({sample_entry(2, 2)});
      } catch (const EnvironmentError& e) {
        error = e.what();
      }
      reached = call.happened();
      name = call.name();
    }
    INFO("call " << call_number << ", " << name << ": " << error);
    const std::string bytes = read_file(store.path(), limit);
    REQUIRE(temporaries(folder.path()) == 0);
    if (error.empty()) {
      REQUIRE(store.read().entries.size() == 2);
      continue;
    }
    ++failures;
    REQUIRE_THAT(error, Catch::Contains(folder.path().string()));
    if (bytes != old_bytes) {  // only the flush of the folder comes after the replacement, and says so
      REQUIRE_THAT(error, Catch::Contains("in place but may not survive a power failure"));
      REQUIRE(store.read().entries.size() == 2);
    }
    store.publish({sample_entry(2, 2)});
    REQUIRE(store.read().entries.size() == 2);
  }
  if (kind.fault == Fault::error) {
    CHECK(failures > 10);
  } else {
    CHECK(failures == 0);
    CHECK(call_number > 15);
  }
}

TEST_CASE("a failing system call costs a journal one record at most", "[fault]") {
  const auto kind = GENERATE(Kind{Fault::error, EIO}, Kind{Fault::error, ENOSPC}, Kind{Fault::short_write, 0});
  const TemporaryFolder folder;
  const fs::path path = folder / "journal.jsonl";
  int acknowledged = 0;
  int call_number = 1;
  for (bool reached = true; reached; ++call_number) {
    std::string error;
    {
      const FailingCall call(call_number, kind.fault, kind.error_number);
      try {
        Journal(path).append(sample_attempt(call_number));
        ++acknowledged;
      } catch (const EnvironmentError& e) {
        error = e.what();
      }
      reached = call.happened();
    }
    if (!error.empty()) REQUIRE_THAT(error, Catch::Contains(folder.path().string()));
    Journal(path).append(sample_attempt(1000 + call_number));
    ++acknowledged;
  }
  CHECK(call_number > 6);
  const Replay replay = Journal::replay(path);
  CHECK(replay.attempts.size() >= static_cast<size_t>(acknowledged));
  CHECK(replay.bad_records <= 1);
}

TEST_CASE("a disk of 64 KiB fills up and nothing is lost", "[fault]") {
  const TemporaryFolder folder;
  if (geteuid() != 0) {
    WARN("skipped: mounting a file system needs root");
    return;
  }
  // In a mount namespace of its own, so that the mount ends with the child. Exit 2: not permitted here.
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0) {
      _exit(2);
    }
    const Store store(folder / "db.json");
    Journal journal(folder / "journal.jsonl");
    int64_t published = 0;
    bool full = false;
    for (int64_t i = 1; i < 200 && !full; ++i) {
      try {
        store.publish({sample_entry(i, i)});
        ++published;
      } catch (const EnvironmentError&) {
        full = true;
      }
    }
    bool journal_full = false;
    for (int i = 0; i < 200 && !journal_full; ++i) {
      try {
        journal.append(sample_attempt(i));
      } catch (const EnvironmentError&) {
        journal_full = true;
      }
    }
    const Database database = store.read();
    const bool good = full && journal_full && published > 0 && database.damage.empty() &&
                      database.entries.size() == static_cast<size_t>(published) && temporaries(folder.path()) == 0;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) {
    WARN("skipped: mounting is not permitted here");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
}
