// Many processes write at once: nothing is lost, no reader sees half of anything, and it is the lock that achieves this.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <stdexcept>

#include "moe_tune/error.hpp"
#include "tests/fault/processes.hpp"
#include "tests/fault/system_calls.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

struct Load {
  int writers;
  int inserts;  ///< per writer, all different
};

/// Reads until killed; dies of a torn or shrinking file.
void read_forever(const Store& store) {
  for (size_t most = 0;;) {
    const Database database = store.read();
    if (!database.damage.empty()) throw std::runtime_error("torn read: " + database.damage.front());
    if (database.entries.size() < most) throw std::runtime_error("entries were lost");
    most = database.entries.size();
  }
}

void insert_all(const Store& store, const Load& load) {
  const int failed = failed_children(load.writers, [&](int writer) {
    for (int i = 0; i < load.inserts; ++i) {
      const int64_t tokens = 1 + int64_t{writer} * load.inserts + i;
      store.publish({sample_entry(tokens, tokens)});
    }
  });
  REQUIRE(failed == 0);
}

}  // namespace

TEST_CASE("concurrent publishers lose nothing and readers see whole files", "[fault]") {
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  const Load load{scaled(8, 32), scaled(12, 100)};
  {
    std::vector<Child> readers;
    for (int i = 0; i < scaled(2, 8); ++i) readers.emplace_back([&] { read_forever(store); });
    insert_all(store, load);
    for (Child& reader : readers) reader.kill();
  }
  const Database database = store.read();
  CHECK(database.damage.empty());
  REQUIRE(database.entries.size() == static_cast<size_t>(load.writers) * static_cast<size_t>(load.inserts));
  for (size_t i = 0; i < database.entries.size(); ++i) REQUIRE(database.entries[i].tokens.lo == static_cast<int64_t>(i) + 1);
}

TEST_CASE("without the lock concurrent publishers lose entries", "[fault]") {
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  const Load load{8, 12};
  {
    const WithoutLocks no_locks;
    const int failed = failed_children(load.writers, [&](int writer) {
      for (int i = 0; i < load.inserts;) {
        const int64_t tokens = 1 + int64_t{writer} * load.inserts + i;
        try {
          store.publish({sample_entry(tokens, tokens)});
          ++i;  // acknowledged: from here on it must not be lost
        } catch (const EnvironmentError&) {
          // Another publisher took this one's temporary file for an orphan, which the lock prevents too: try again.
        }
      }
    });
    REQUIRE(failed == 0);
  }
  const int lost = load.writers * load.inserts - static_cast<int>(store.read().entries.size());
  std::printf("without the lock: %d of %d acknowledged entries were lost\n", lost, load.writers * load.inserts);
  CHECK(lost > 0);
}

TEST_CASE("concurrent journal writers lose nothing and readers see whole records", "[fault]") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.jsonl";
  const int writers = scaled(8, 32);
  const int appends = scaled(100, 1000);
  {
    std::vector<Child> readers;
    for (int i = 0; i < scaled(2, 8); ++i) {
      readers.emplace_back([&] {
        for (size_t most = 0;;) {
          const Replay replay = Journal::replay(path);
          // A record that is being written may show up in part, at the very end only.
          if (replay.bad_records > 1 || replay.attempts.size() < most) throw std::runtime_error("torn or lost record");
          most = replay.attempts.size();
        }
      });
    }
    const int failed = failed_children(writers, [&](int writer) {
      Journal journal(path);
      for (int i = 0; i < appends; ++i) journal.append(sample_attempt(int64_t{writer} * appends + i));
    });
    REQUIRE(failed == 0);
    for (Child& reader : readers) reader.kill();
  }
  const Replay replay = Journal::replay(path);
  CHECK(replay.bad_records == 0);
  REQUIRE(replay.attempts.size() == static_cast<size_t>(writers) * static_cast<size_t>(appends));
  std::vector<bool> seen(replay.attempts.size(), false);
  for (const Attempt& attempt : replay.attempts) seen[static_cast<size_t>(attempt.tokens)] = true;
  CHECK(std::count(seen.begin(), seen.end(), true) == static_cast<long>(seen.size()));
}
