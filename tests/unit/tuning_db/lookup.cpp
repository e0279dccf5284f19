#include "tuning_db/lookup.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <string>

#include "tests/support/sample_records.hpp"
#include "tuning_db/merge.hpp"

using namespace moe_tune;
using test::sample_entry;

namespace {

LookupRequest sample_request() {
  LookupRequest request;
  request.problem = test::sample_problem();
  request.device = test::sample_environment().key;
  request.source_hashes = {"0123abcd", "4567cdef"};
  request.nvrtc = "13.0.48";
  request.heuristic = [](int64_t tokens) { return test::sample_config(tokens <= 64 ? 16 : 128); };
  request.in_space = [](const KernelConfig&) { return true; };
  return request;
}

Entry measured_at(int64_t measured, int64_t lo, int64_t hi, int BLOCK_M, Source source = Source::tuned) {
  Entry entry = sample_entry(lo, hi, source);
  entry.tokens.measured = measured;
  entry.config = test::sample_config(BLOCK_M);
  return entry;
}

Entry stale(Entry entry) {
  entry.gen.source_hash = "other";
  return entry;
}

}  // namespace

TEST_CASE("the best reason wins, in the documented order", "[lookup]") {
  LookupRequest request = sample_request();
  const Entry exact = measured_at(1024, 769, 1536, 64);
  const Entry predicted = measured_at(1200, 1, 4096, 32, Source::predicted);
  const Entry near = measured_at(600, 500, 768, 256);

  const Choice first = lookup({near, predicted, exact}, request, 1100);
  CHECK(first.grade == Grade::exact);
  CHECK(first.config.BLOCK_M == 64);
  CHECK(first.entry == exact);
  CHECK_FALSE(first.stale);
  CHECK(first.warning.empty());
  CHECK(first.why == "tuned for 769 to 1536 tokens (at 1024) on NVIDIA H200, 2026-11-20T12:34:56Z");

  const Choice nearest = lookup({predicted, near}, request, 1100);
  CHECK(nearest.grade == Grade::nearest);
  CHECK_THAT(nearest.why, Catch::Contains("at 600 tokens, the nearest within 2x of 1100"));
  CHECK(lookup({predicted, near}, request, 1201).grade == Grade::predicted);
  CHECK(lookup({near}, request, 1201).grade == Grade::heuristic);
  CHECK(lookup({near}, request, 1200).grade == Grade::nearest);
  CHECK(lookup({near}, request, 300).grade == Grade::nearest);
  CHECK(lookup({near}, request, 299).grade == Grade::heuristic);

  const Choice none = lookup({}, request, 40);
  CHECK(none.grade == Grade::heuristic);
  CHECK(none.config.BLOCK_M == 16);
  CHECK_THAT(none.why, Catch::Contains("NVIDIA H200"));
  CHECK(lookup({}, request, 0).config.BLOCK_M == 16);
  CHECK(lookup({}, request, std::numeric_limits<int64_t>::max()).config.BLOCK_M == 128);
}

TEST_CASE("an override goes before everything", "[lookup]") {
  LookupRequest request = sample_request();
  Override file;
  file.source = "o.json";
  file.configs[{Op::forward, std::nullopt}] = OverrideConfig{"o.json: forward", test::sample_config(256), {}};
  request.override_file = &file;
  const Choice choice = lookup({sample_entry()}, request, 1000);
  CHECK(choice.grade == Grade::override_file);
  CHECK(choice.config.BLOCK_M == 256);
  CHECK(choice.why == "override file o.json");
  CHECK(Ladder({sample_entry()}, request).size() == 1);
}

TEST_CASE("stale entries come after fresh ones, with a warning that names the remedy", "[lookup]") {
  const LookupRequest request = sample_request();
  const Choice choice = lookup({stale(measured_at(1024, 769, 1536, 64)), measured_at(1600, 1537, 2000, 32)}, request, 1024);
  CHECK(choice.grade == Grade::exact_stale);
  CHECK(choice.stale);
  CHECK_THAT(choice.warning, Catch::Contains("moe-tune tune for this model") && Catch::Contains("moe-tune 0.1.0"));

  LookupRequest newer = request;
  newer.nvrtc = "14.0.1";
  CHECK_THAT(lookup({sample_entry()}, newer, 1000).warning, Catch::Contains("NVRTC 13.0.48 (now 14.0.1)"));
  // Nearby and fresh goes before nearby and stale, even if the stale one is nearer.
  CHECK(lookup({stale(measured_at(1000, 990, 1000, 64)), measured_at(1600, 1537, 2000, 32)}, request, 1024).config.BLOCK_M == 32);
}

TEST_CASE("an entry is stale by the sources of its own config's family", "[lookup]") {
  LookupRequest request = sample_request();
  Entry entry = sample_entry();
  CHECK(lookup({entry}, request, 1000).grade == Grade::exact);
  entry.config = test::sample_sm90_config();
  CHECK(lookup({entry}, request, 1000).grade == Grade::exact_stale);
  entry.gen.source_hash = request.source_hashes[1];
  CHECK(lookup({entry}, request, 1000).grade == Grade::exact);
}

TEST_CASE("dW that accumulates or is float32 falls back on entries of plain dW", "[lookup]") {
  LookupRequest request = sample_request();
  request.problem = Problem{.op = Op::dW, .E = 8, .N = 64, .K = 32, .top_k = 2};
  Entry plain = measured_at(1024, 769, 1536, 64);
  plain.problem = request.problem;
  for (const bool float32_dw : {false, true}) {
    request.problem.float32_dw = float32_dw;
    request.problem.accumulate = true;
    const Choice choice = lookup({plain}, request, 1000);
    CHECK(choice.grade == Grade::exact);
    CHECK(choice.config.BLOCK_M == 64);
    CHECK_THAT(choice.why, Catch::EndsWith(", of plain dW"));
    CHECK(lookup({plain}, request, 100).grade == Grade::heuristic);
  }
  // Its own entries go first, where they say anything.
  Entry own = measured_at(4096, 3000, 4096, 32, Source::predicted);
  own.problem = request.problem;
  CHECK(lookup({plain, own}, request, 1600).config.BLOCK_M == 64);
  CHECK(lookup({plain, own}, request, 2048).config.BLOCK_M == 32);
  const Ladder ladder({plain, own}, request);
  for (int64_t tokens = 1; tokens < 9000; ++tokens) {
    REQUIRE(ladder.config(ladder.find(tokens)) == lookup({plain, own}, request, tokens).config);
  }
  // Plain dW is not served by them.
  request.problem = plain.problem;
  CHECK(lookup({own}, request, 4096).grade == Grade::heuristic);
}

TEST_CASE("entries of other workloads or devices or outside today's space do not count", "[lookup]") {
  LookupRequest request = sample_request();
  Entry other = sample_entry();
  other.problem.top_k = 4;
  Entry other_device = sample_entry();
  other_device.env.key.mig = "";
  CHECK(lookup({other, other_device}, request, 1000).grade == Grade::heuristic);
  request.in_space = [](const KernelConfig& c) { return c.BLOCK_M != 64; };
  CHECK(lookup({sample_entry()}, request, 1000).grade == Grade::heuristic);
}

TEST_CASE("a ladder answers as lookup does, for every token count", "[lookup]") {
  std::mt19937 random(11);
  const LookupRequest request = sample_request();
  const int blocks[] = {16, 32, 64, 128, 256};
  for (int round = 0; round < 20; ++round) {
    std::vector<Entry> entries;
    for (int i = 0; i < 8; ++i) {
      const int64_t lo = 1 + random() % 400;
      const int64_t hi = lo + random() % 200;
      Entry entry = measured_at(lo + random() % (hi - lo + 1), lo, hi, blocks[random() % 5], static_cast<Source>(random() % 4));
      if (random() % 3 == 0) entry = stale(entry);
      entries = merge_entries(entries, {entry});
    }
    const Ladder ladder(entries, request);
    for (int64_t tokens = 0; tokens < 1500; ++tokens) {
      const Choice choice = lookup(entries, request, tokens);
      const int index = ladder.find(tokens);
      REQUIRE(index < ladder.size());
      INFO("round " << round << ", T = " << tokens << ": " << choice.why << " against " << ladder.choice(index).why);
      REQUIRE(ladder.config(index) == choice.config);
      REQUIRE(ladder.choice(index).grade == choice.grade);
    }
    CHECK(ladder.find(std::numeric_limits<int64_t>::max()) == ladder.size() - 1);
  }
}

TEST_CASE("a ladder without entries follows the heuristic in few rungs", "[lookup]") {
  const Ladder ladder({}, sample_request());
  REQUIRE(ladder.size() == 2);
  CHECK(ladder.last_tokens(0) == 64);
  CHECK(ladder.find(64) == 0);
  CHECK(ladder.find(65) == 1);
}
