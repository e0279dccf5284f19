#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

/// Integers as floats: their sums have one value in any order.
Words small_floats(std::size_t count) {
  const Words random = random_words(count, 20);
  return words(count, [&](auto i) { return bits(static_cast<float>(static_cast<int>(random[i] % 2001) - 1000)); });
}

/// Sums of what is `stride` apart.
Words summed(const Words& input, std::size_t sums) {
  std::vector<float> totals(sums, 0.0f);
  for (std::size_t i = 0; i < input.size(); ++i) totals[i % sums] += value_of(input[i]);
  return words(sums, [&](auto i) { return bits(totals[i]); });
}

MicroTest pass_on_test(const char* way) {
  const Words input = random_words(64, 21);
  Words expected = {1, 1};
  for (std::uint32_t i = 0; i < 192; ++i) {
    const std::uint32_t block = i / 64, t = i % 64;
    expected.push_back(input[block % 2 == 0 ? t : 63 - t] + block);
  }
  Words before(expected.size(), poison);
  before[0] = before[1] = 0;
  return {.name = fmt::format("message passing by {}", way),
          .kernel = fmt::format("pass_on<micro::Publish::{}>", way),
          .blocks = 3,
          .threads = 64,
          .input = input,
          .output = before,
          .expected = expected};
}

}  // namespace

InstructionFamily atomics_family() {
  InstructionFamily family{.name = "atomics", .file = "atomics.cuh", .tests = {}};
  for (const char* way :
       {"store", "add", "reduce", "exchange_fenced", "add_fenced", "compare_and_swap", "store_fenced", "store_fenced_system"}) {
    family.tests.push_back(pass_on_test(way));
  }
  family.tests.push_back({.name = "fence_acq_rel_cta",
                          .kernel = "pass_within_block",
                          .threads = 64,
                          .input = {1234},
                          .output = {0, poison, poison},
                          .expected = {1, 1234, 2468}});

  const Words rows = random_words(8 * 32, 22);
  Words sums = {8};
  for (std::uint32_t t = 0; t < 32; ++t) {
    sums.push_back(0);
    for (std::uint32_t block = 0; block < 8; ++block) sums.back() += rows[block * 32 + t];
  }
  sums.insert(sums.end(), rows.begin(), rows.end());
  Words before(sums.size(), poison);
  before[0] = 0;
  family.tests.push_back({.name = "the last of several arrivals sees all",
                          .kernel = "last_block_sums<8>",
                          .blocks = 8,
                          .shared_bytes = 16,
                          .input = rows,
                          .output = before,
                          .expected = sums});

  std::uint32_t locked = 1;
  for (int i = 0; i < 6 * 3; ++i) locked = locked * 3 + 1;
  family.tests.push_back(
      {.name = "a lock", .kernel = "lock_guards_value", .blocks = 6, .output = {0, 1}, .expected = {0, locked}});
  family.tests.push_back(
      {.name = "wraps around", .kernel = "wraps_around", .output = {0xfffffffe, poison, poison}, .expected = {1, 0xfffffffe, 2}});

  std::uint32_t put = 0;
  for (std::uint32_t thread = 0; thread < 128; ++thread) put += thread * thread + 1;
  family.tests.push_back({.name = "exchange and compare-and-swap return the value before",
                          .kernel = "values_before<4>",
                          .blocks = 4,
                          .output = Words(6, 0),
                          .expected = {0, put, 128, 70, 70, 128}});

  const Words floats = small_floats(256);
  family.tests.push_back({.name = "reduce_add_f32",
                          .kernel = "float_sums",
                          .blocks = 4,
                          .threads = 64,
                          .input = floats,
                          .output = Words(5, 0),
                          .expected = summed(floats, 5)});
  // Rounding to nearest even at both sides of a tie; subnormal numbers in, out and both; infinities.
  const std::pair<float, float> pairs[] = {
      {1.0f, 0x1p-24f},  {1.0f, 0x1.8p-23f},     {1.0f, 0x1.000002p-24f}, {1.0f, -0x1p-25f},
      {3e38f, 3e38f},    {0x1p-126f, 0x1p-127f}, {0x1p-130f, 0x1p-130f},  {0x1.8p-126f, -0x1p-126f},
      {0x1p-127f, 1.0f}, {-0x1p-140f, 0.0f},     {1e30f, -1e30f},         {16777216.0f, 1.0f}};
  const float zero = 0.0f;
  const float results[] = {1.0f,      0x1.000004p0f, 0x1.000002p0f, 1.0f, std::numeric_limits<float>::infinity(),
                           0x1p-126f, zero,          zero,          1.0f, zero,
                           zero,      16777216.0f};
  Words start(32, 0), added(32, 0), rounded(32, 0);
  for (std::size_t i = 0; i < std::size(pairs); ++i) {
    start[i] = bits(pairs[i].first);
    added[i] = bits(pairs[i].second);
    rounded[i] = bits(results[i]);
  }
  family.tests.push_back({.name = "reduce_add_f32 rounds to nearest even and flushes",
                          .kernel = "single_float_sums",
                          .input = added,
                          .output = start,
                          .expected = rounded,
                          .tolerance = 0});
  return family;
}

InstructionFamily atomics_sm90_family() {
  InstructionFamily family{.name = "atomics_sm90", .file = "atomics_sm90.cuh", .tests = {}};
  const Words floats = small_floats(3 * 64 * 4);
  family.tests.push_back({.name = "reduce_add_x4_f32",
                          .kernel = "sums_of_four",
                          .blocks = 3,
                          .threads = 64,
                          .input = floats,
                          .output = Words(12, 0),
                          .expected = summed(floats, 12)});
  family.tests.push_back({.name = "fence_acq_rel_cluster",
                          .kernel = "pass_within_cluster",
                          .blocks = 4,
                          .cluster = 4,
                          .input = {77},
                          .output = {0, 0, 0, 0, poison, poison, poison, poison},
                          .expected = {1, 1, 1, 1, 77, 154, 308, 616}});
  return family;
}

}  // namespace moe_tune::test
