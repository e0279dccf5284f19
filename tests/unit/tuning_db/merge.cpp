#include "tuning_db/merge.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <string>

#include "tests/support/sample_records.hpp"

using namespace moe_tune;
using test::sample_entry;

namespace {

constexpr const char* monday = "2026-11-16T00:00:00Z";
constexpr const char* tuesday = "2026-11-17T00:00:00Z";

/// "[1,9]t1 " for an entry that was tuned on monday, and so on.
std::string text(const std::vector<Entry>& entries) {
  std::string result;
  for (const Entry& e : entries) {
    result += fmt::format("[{},{}]{}{} ", e.tokens.lo, e.tokens.hi, to_string(e.source)[0], e.date == monday ? 1 : 2);
  }
  return result;
}

}  // namespace

TEST_CASE("a measured entry replaces a predicted one, never the reverse", "[merge]") {
  const Entry predicted = sample_entry(1, 100, Source::predicted, tuesday);
  const Entry tuned = sample_entry(1, 100, Source::tuned, monday);
  CHECK(text(merge_entries({predicted}, {tuned})) == "[1,100]t1 ");
  CHECK(text(merge_entries({tuned}, {predicted})) == "[1,100]t1 ");
}

TEST_CASE("of the same rank the newer wins, and the incoming one at the same date", "[merge]") {
  const Entry older = sample_entry(1, 100, Source::tuned, monday);
  const Entry newer = sample_entry(1, 100, Source::tuned, tuesday);
  CHECK(text(merge_entries({older}, {newer})) == "[1,100]t2 ");
  CHECK(text(merge_entries({newer}, {older})) == "[1,100]t2 ");
  Entry again = newer;
  again.config = test::sample_config(16);
  CHECK(merge_entries({newer}, {again})[0].config == again.config);
}

TEST_CASE("overlapping ranges are trimmed", "[merge]") {
  const Entry wide = sample_entry(1, 100, Source::tuned, monday);
  CHECK(text(merge_entries({wide}, {sample_entry(40, 60, Source::tuned, tuesday)})) == "[1,39]t1 [40,60]t2 [61,100]t1 ");
  CHECK(text(merge_entries({wide}, {sample_entry(90, 200, Source::tuned, tuesday)})) == "[1,89]t1 [90,200]t2 ");
  CHECK(text(merge_entries({wide}, {sample_entry(50, 200, Source::predicted, tuesday)})) == "[1,100]t1 [101,200]p2 ");
  constexpr int64_t top = std::numeric_limits<int64_t>::max();
  CHECK(text(merge_entries({wide}, {sample_entry(50, top, Source::tuned, tuesday)})) ==
        "[1,49]t1 [50," + std::to_string(top) + "]t2 ");
}

TEST_CASE("a later run takes no token count from an entry that was measured nearer to it", "[merge]") {
  const auto at = [](int64_t measured, int64_t lo, int64_t hi, const char* date) {
    Entry entry = sample_entry(lo, hi, Source::tuned, date);
    entry.tokens.measured = measured;
    return entry;
  };
  const std::vector<Entry> fine = {at(1, 1, 8, monday), at(64, 9, 128, monday), at(256, 129, 512, monday),
                                   at(1024, 513, 2048, monday)};
  const std::vector<Entry> coarse = {at(512, 1, 1024, tuesday)};
  const std::string both = "[1,8]t1 [9,128]t1 [129,362]t1 [363,724]t2 [725,2048]t1 ";
  CHECK(text(merge_entries(fine, coarse)) == both);
  CHECK(text(merge_entries(coarse, fine)) == both);
  // At the same count the later one.
  CHECK(text(merge_entries(fine, {at(64, 1, 1024, tuesday)})) == "[1,8]t1 [9,128]t2 [129,512]t1 [513,2048]t1 ");
  // Of kernels of another generator or compiler nothing is known: the later ones go first.
  std::vector<Entry> regenerated = coarse;
  regenerated[0].gen.source_hash = "another";
  CHECK(text(merge_entries(fine, regenerated)) == "[1,1024]t2 [1025,2048]t1 ");
  regenerated = coarse;
  regenerated[0].env.nvrtc = "99.0";
  CHECK(text(merge_entries(fine, regenerated)) == "[1,1024]t2 [1025,2048]t1 ");
}

TEST_CASE("other workloads and devices are left alone", "[merge]") {
  const Entry one = sample_entry(1, 100);
  Entry other_problem = one;
  other_problem.problem.top_k = 4;
  Entry other_device = one;
  other_device.env.key.sm_count = 66;
  Entry other_driver = one;
  other_driver.env.driver = "999";
  CHECK(merge_entries({one}, {other_problem, other_device}).size() == 3);
  CHECK(merge_entries({one}, {other_driver}).size() == 1);
}

TEST_CASE("merged ranges never overlap and lose no token count", "[merge]") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Entry> entries;
    std::vector<bool> covered(65, false);
    for (int i = 0; i < 12; ++i) {
      const int64_t lo = 1 + random() % 64;
      const int64_t hi = lo + random() % (65 - lo);
      entries =
          merge_entries(entries, {sample_entry(lo, hi, static_cast<Source>(random() % 4), random() % 2 ? monday : tuesday)});
      for (int64_t t = lo; t <= hi; ++t) covered[t] = true;
    }
    for (int64_t t = 1; t <= 64; ++t) {
      int holders = 0;
      for (const Entry& e : entries) holders += e.tokens.holds(t) ? 1 : 0;
      REQUIRE(holders == (covered[t] ? 1 : 0));
    }
    REQUIRE(merge_entries(entries, entries) == entries);
  }
}
