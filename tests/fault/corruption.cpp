// Truncation at every offset and every bit flipped: no changed record is accepted, and damage stays where it is.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"
#include "tests/fault/processes.hpp"
#include "tests/support/sample_records.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/schema.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr int nobody = -1;

/// Three entries that share no table record.
std::vector<Entry> independent_entries() {
  std::vector<Entry> entries;
  for (int i = 0; i < 3; ++i) {
    Entry entry = sample_entry(1 + i, 1 + i);
    entry.problem.E = 60 + i;
    entry.env.key.sm_count = 100 + i;
    entry.gen.source_hash = "hash" + std::to_string(i);
    entry.alternatives.clear();
    entries.push_back(entry);
  }
  return entries;
}

/// For each byte of the file, which entry depends on its line.
std::vector<int> owners(const std::string& text, const std::vector<Entry>& entries) {
  std::vector<int> result;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size() - 1);
    const std::string line = text.substr(start, end - start);
    int owner = nobody;
    for (int i = 0; i < static_cast<int>(entries.size()); ++i) {
      const Entry& e = entries[static_cast<size_t>(i)];
      for (const std::string& id : {workload_id(e.problem), environment_id(e.env.key), generator_id(e.gen)}) {
        if (line.find(id) != std::string::npos) owner = i;
      }
    }
    result.insert(result.end(), line.size(), owner);
    result.push_back(nobody);  // the newline
    start = end + 1;
  }
  return result;
}

/// Whether every accepted entry is an original one, and which originals are missing.
bool only_originals(const Database& database, const std::vector<Entry>& entries, std::array<bool, 3>& missing) {
  missing = {true, true, true};
  for (const Entry& entry : database.entries) {
    const auto found = std::find(entries.begin(), entries.end(), entry);
    if (found == entries.end()) return false;
    missing[static_cast<size_t>(found - entries.begin())] = false;
  }
  return true;
}

}  // namespace

TEST_CASE("a database with any one bit flipped keeps all but the record that was hit", "[fault]") {
  const std::vector<Entry> entries = independent_entries();
  Database database;
  database.entries = entries;
  const std::string text = encode_database(database);
  const std::vector<int> owner = owners(text, entries);
  REQUIRE(owner.size() == text.size());
  const auto stride = static_cast<size_t>(scaled(3, 1));
  int64_t changed_anything = 0;
  for (size_t at = 0; at < text.size(); at += stride) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      std::array<bool, 3> missing{};
      const Database read = decode_database(flipped, "db.json");
      const bool originals = only_originals(read, entries, missing);
      const bool kept_others = std::all_of(missing.begin(), missing.end(), [&](const bool& lost) {
        return !lost || owner[at] == static_cast<int>(&lost - missing.data());
      });
      const bool told = read.entries.size() == entries.size() || !read.damage.empty();
      if (!originals || !kept_others || !told || !read.opaque_entries.empty()) {
        CAPTURE(at, bit, originals, kept_others, told, text.substr(at - std::min<size_t>(at, 20), 40));
        REQUIRE(false);
      }
      changed_anything += read.damage.empty() ? 0 : 1;
    }
  }
  CHECK(changed_anything > 0);
}

TEST_CASE("a database truncated anywhere yields a prefix of its entries", "[fault]") {
  const std::vector<Entry> entries = independent_entries();
  Database database;
  database.entries = entries;
  const std::string text = encode_database(database);
  size_t most = 0;
  for (size_t size = 0; size < text.size(); ++size) {
    const Database read = decode_database(text.substr(0, size), "db.json");
    CAPTURE(size);
    REQUIRE(read.entries.size() <= entries.size());
    REQUIRE(std::equal(read.entries.begin(), read.entries.end(), entries.begin()));
    REQUIRE(read.entries.size() >= most);
    REQUIRE((size == text.size() - 1 || !read.damage.empty()));  // the last byte is a newline
    most = read.entries.size();
  }
  CHECK(most == 3);
}

TEST_CASE("a journal with any one bit flipped or truncated anywhere keeps its other records", "[fault]") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.jsonl";
  std::vector<Attempt> attempts = {sample_attempt(1), sample_attempt(2), sample_attempt(3)};
  {
    Journal journal(path);
    for (const Attempt& attempt : attempts) journal.append(attempt);
  }
  const std::string text = read_file(path, 1 << 20);
  const auto replayed = [&](const std::string& bytes) {
    // Not write_file_atomic: thousands of fsyncs would only take time.
    FILE* file = std::fopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    return Journal::replay(path);
  };
  const auto is_original = [&](const Attempt& a) { return std::find(attempts.begin(), attempts.end(), a) != attempts.end(); };

  const auto stride = static_cast<size_t>(scaled(3, 1));
  for (size_t at = 0; at < text.size(); at += stride) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const Replay replay = replayed(flipped);
      if (replay.attempts.size() < 2 || !std::all_of(replay.attempts.begin(), replay.attempts.end(), is_original)) {
        CAPTURE(at, bit, replay.attempts.size());
        REQUIRE(false);
      }
    }
  }
  for (size_t size = 0; size < text.size(); ++size) {
    const Replay replay = replayed(text.substr(0, size));
    const auto whole = static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<long>(size), '\n'));
    REQUIRE((replay.attempts.size() == whole || replay.attempts.size() == whole + 1));  // + 1: only the newline is missing
    REQUIRE(std::equal(replay.attempts.begin(), replay.attempts.end(), attempts.begin()));
  }
}
