// kill -9 at any moment: every acknowledged record is there, every file parses, nothing is left lying about.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <random>
#include <stdexcept>
#include <utility>

#include "tests/fault/processes.hpp"
#include "tests/fault/system_calls.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr int writer_count = 8;
constexpr int slots = 4;  // records per writer that are overwritten in turn: the database stays small

/// What a writer tells the test once a record is durable.
struct Acknowledged {
  int writer;
  int slot;
  int64_t sequence;
};

/// A pipe for acknowledgements; a message is written whole or not at all.
class Channel {
 public:
  Channel() {
    if (pipe(ends_) != 0) throw std::runtime_error("pipe");
  }
  ~Channel() {
    close(ends_[0]);
    close_writing_end();
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void send(const Acknowledged& message) const {
    if (write(ends_[1], &message, sizeof message) != sizeof message) throw std::runtime_error("send");
  }
  void close_writing_end() {
    if (ends_[1] >= 0) close(std::exchange(ends_[1], -1));
  }
  bool receive(Acknowledged& message) const { return read(ends_[0], &message, sizeof message) == sizeof message; }

 private:
  int ends_[2] = {-1, -1};
};

using Latest = std::map<std::pair<int, int>, int64_t>;  // (writer, slot) -> sequence

/// Keeps eight writers busy, kills one at a random moment `kills` times, and returns the last acknowledged sequences.
/// `work(writer, sequence)` makes one record durable.
Latest kill_randomly(int kills, const std::function<void(int, int64_t)>& work) {
  Latest latest;
  std::mt19937 random(3);
  for (int done = 0; done < kills;) {
    // Rounds bounded so that the acknowledgements fit into the pipe.
    Channel channel;
    std::vector<Child> writers;
    const auto start = [&](int writer, int64_t sequence) {
      return Child([&, writer, sequence] {
        for (int64_t i = sequence;; ++i) {
          work(writer, i);
          channel.send({writer, static_cast<int>(i % slots), i});
        }
      });
    };
    const auto base = static_cast<int64_t>(done) * 1000000;
    for (int writer = 0; writer < writer_count; ++writer) writers.push_back(start(writer, base));
    for (int i = 0; i < 20 && done < kills; ++i, ++done) {
      usleep(static_cast<useconds_t>(random() % 4000));
      const auto victim = static_cast<int>(random() % writer_count);
      writers[static_cast<size_t>(victim)].kill();
      writers[static_cast<size_t>(victim)] = start(victim, base + (i + 1) * 10000);
    }
    writers.clear();
    channel.close_writing_end();
    for (Acknowledged message{}; channel.receive(message);) {
      int64_t& sequence = latest[{message.writer, message.slot}];
      sequence = std::max(sequence, message.sequence);
    }
  }
  return latest;
}

int temporaries(const std::filesystem::path& folder) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    count += entry.path().string().find(".tmp-") != std::string::npos ? 1 : 0;
  }
  return count;
}

/// The entry of a writer's slot; its sequence is its date.
Entry numbered_entry(int writer, int64_t sequence) {
  const int64_t tokens = 1 + writer * slots + sequence % slots;
  return sample_entry(tokens, tokens, Source::tuned, fmt::format("{:020}", sequence));
}

}  // namespace

TEST_CASE("publishers killed at random lose nothing that was acknowledged", "[fault]") {
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  const Latest latest =
      kill_randomly(scaled(40, 2000), [&](int writer, int64_t sequence) { store.publish({numbered_entry(writer, sequence)}); });
  REQUIRE_FALSE(latest.empty());
  const Database database = store.read();
  CHECK(database.damage.empty());
  std::map<int64_t, int64_t> stored;
  for (const Entry& entry : database.entries) stored[entry.tokens.lo] = std::stoll(entry.date);
  for (const auto& [key, sequence] : latest) {
    const int64_t tokens = 1 + key.first * slots + key.second;
    REQUIRE(stored.contains(tokens));
    REQUIRE(stored[tokens] >= sequence);
  }
  store.publish({sample_entry()});
  CHECK(temporaries(folder.path()) == 0);
}

TEST_CASE("journal writers killed at random lose nothing that was acknowledged", "[fault]") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.jsonl";
  const int kills = scaled(40, 2000);
  const Latest latest = kill_randomly(kills, [&](int writer, int64_t sequence) {
    Attempt attempt = sample_attempt(sequence);
    attempt.rung = writer;
    Journal(path).append(attempt);
  });
  REQUIRE_FALSE(latest.empty());
  const Replay replay = Journal::replay(path);
  CHECK(replay.bad_records <= kills + writer_count * (kills / 20 + 1));
  std::map<std::pair<int, int64_t>, int> stored;
  for (const Attempt& attempt : replay.attempts) ++stored[{attempt.rung, attempt.tokens}];
  for (const auto& [key, sequence] : latest) REQUIRE(stored.contains({key.first, sequence}));
}

TEST_CASE("a publisher killed before any of its system calls leaves the old or the new file", "[fault]") {
  const TemporaryFolder folder;
  const Store store(folder / "db.json");
  store.publish({sample_entry(1, 1)});
  int calls = 0;
  for (bool killed = true; killed; ++calls) {
    const int64_t tokens = 2 + calls;
    Child child([&] {
      const FailingCall call(calls + 1, Fault::kill);
      store.publish({sample_entry(tokens, tokens)});
    });
    killed = !child.wait();
    const Database database = store.read();
    REQUIRE(database.damage.empty());
    const size_t before = store.read().entries.size();
    store.publish({sample_entry(tokens, tokens)});
    REQUIRE(store.read().entries.size() == static_cast<size_t>(calls) + 2);
    REQUIRE(before >= static_cast<size_t>(calls) + 1);
    REQUIRE(temporaries(folder.path()) == 0);
  }
  CHECK(calls > 15);
}
