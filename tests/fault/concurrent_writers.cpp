// Many processes write at once: nothing is lost, no reader sees half of anything, and it is the lock that achieves this.
#include <fmt/format.h>

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

constexpr useconds_t reader_pause_us = 20000;  // readers that never pause leave the writers no processor

/// The one entry of a writer, overwritten again and again: the database stays small while thousands of inserts go through it.
Entry own_entry(int writer, int sequence) {
  return sample_entry(writer + 1, writer + 1, Source::tuned, fmt::format("{:06}", sequence));
}

/// Publishes `inserts` versions of the writer's entry, each only when the one before is still there: a single lost insert of any
/// writer is noticed by that writer.
void insert_and_look(const Store& store, int writer, int inserts) {
  for (int i = 0; i < inserts; ++i) {
    store.publish({own_entry(writer, i)});
    const Database database = store.read();
    const auto& entries = database.entries;
    if (std::find(entries.begin(), entries.end(), own_entry(writer, i)) == entries.end()) throw std::runtime_error("lost");
  }
}

/// Reads until killed; throws at a torn file or one that is older than the last.
void read_forever(const Store& store) {
  for (int64_t most = 0;;) {
    const Database database = store.read();
    if (!database.damage.empty()) throw std::runtime_error("torn read: " + database.damage.front());
    int64_t inserts = 0;
    for (const Entry& entry : database.entries) inserts += 1 + std::stoll(entry.date);
    if (inserts < most) throw std::runtime_error("inserts were lost");
    most = inserts;
    usleep(reader_pause_us);
  }
}

}  // namespace

TEST_CASE("concurrent publishers lose nothing and readers see whole files", "[fault]") {
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  const int writers = scaled(8, 32);
  const int inserts = scaled(25, 1000);
  std::vector<Child> readers;
  for (int i = 0; i < scaled(2, 8); ++i) readers.emplace_back([&] { read_forever(store); });
  REQUIRE(failed_children(writers, [&](int writer) { insert_and_look(store, writer, inserts); }) == 0);
  for (Child& reader : readers) REQUIRE(reader.stop());

  const Database database = store.read();
  CHECK(database.damage.empty());
  REQUIRE(database.entries.size() == static_cast<size_t>(writers));
  for (int i = 0; i < writers; ++i) CHECK(database.entries[static_cast<size_t>(i)] == own_entry(i, inserts - 1));
}

TEST_CASE("without the lock concurrent publishers lose entries", "[fault]") {
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  constexpr int writers = 8;
  constexpr int inserts = 12;
  {
    const WithoutLocks no_locks;
    const int failed = failed_children(writers, [&](int writer) {
      for (int i = 0; i < inserts;) {
        const int64_t tokens = 1 + int64_t{writer} * inserts + i;
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
  const int lost = writers * inserts - static_cast<int>(store.read().entries.size());
  std::printf("without the lock: %d of %d acknowledged entries were lost\n", lost, writers * inserts);
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
          usleep(reader_pause_us);
        }
      });
    }
    const int failed = failed_children(writers, [&](int writer) {
      Journal journal(path);
      for (int i = 0; i < appends; ++i) journal.append(sample_attempt(int64_t{writer} * appends + i));
    });
    REQUIRE(failed == 0);
    for (Child& reader : readers) REQUIRE(reader.stop());
  }
  const Replay replay = Journal::replay(path);
  CHECK(replay.bad_records == 0);
  REQUIRE(replay.attempts.size() == static_cast<size_t>(writers) * static_cast<size_t>(appends));
  std::vector<bool> seen(replay.attempts.size(), false);
  for (const Attempt& attempt : replay.attempts) seen[static_cast<size_t>(attempt.tokens)] = true;
  CHECK(std::count(seen.begin(), seen.end(), true) == static_cast<long>(seen.size()));
}
