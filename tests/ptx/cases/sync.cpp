#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

/// Rounds in which each of `threads` values takes `factor` times itself plus `weight` times that of a thread `distance` on.
Words rounds(Words values, std::size_t first, std::size_t threads, int count, std::uint32_t factor, std::size_t distance,
             std::uint32_t weight) {
  for (int round = 0; round < count; ++round) {
    const Words before = values;
    for (std::size_t i = 0; i < threads; ++i) {
      values[first + i] = before[first + i] * factor + weight * before[first + (i + distance) % threads];
    }
  }
  return values;
}

Words shuffled(const Words& input) {
  Words out;
  for (std::uint32_t i = 0; i < 32; ++i) {
    for (std::uint32_t lane = 0; lane < 32; ++lane) out.push_back(input[lane < i ? lane : lane - i]);
  }
  for (std::uint32_t i = 0; i < 32; ++i) out.insert(out.end(), 32, input[i]);
  for (std::uint32_t i = 0; i < 32; ++i) {
    for (std::uint32_t lane = 0; lane < 32; ++lane) out.push_back(input[lane ^ i]);
  }
  for (std::uint32_t lane = 0; lane < 32; ++lane) out.push_back(input[input[lane] % 32]);
  return out;
}

Words voted(const Words& input) {
  Words out;
  for (std::size_t t = 0; t < input.size(); ++t) {
    for (int i = 0; i < 32; ++i) {
      std::uint32_t ballot = 0;
      for (std::size_t lane = 0; lane < 32; ++lane) ballot |= (input[t / 32 * 32 + lane] >> i & 1) << lane;
      out.push_back(ballot);
      out.push_back(ballot != 0);
    }
  }
  return out;
}

}  // namespace

InstructionFamily sync_family() {
  InstructionFamily family{.name = "sync", .file = "sync.cuh", .tests = {}};
  const Words input = random_words(160, 2);
  const auto first = [&](std::size_t count) { return Words(input.begin(), input.begin() + static_cast<long>(count)); };
  family.tests.push_back({.name = "positions",
                          .kernel = "positions",
                          .blocks = 3,
                          .threads = 64,
                          .expected = words(3 * 64 * 4, [](auto i) {
                            const std::uint32_t thread = i / 4 % 64;
                            const std::uint32_t values[] = {thread, i / 256, 3, thread % 32};
                            return values[i % 4];
                          })});
  family.tests.push_back({.name = "block_barrier",
                          .kernel = "block_barrier_rounds<160, 5>",
                          .threads = 160,
                          .shared_bytes = 640,
                          .input = input,
                          .expected = rounds(input, 0, 160, 5, 3, 37, 1)});
  family.tests.push_back({.name = "named_barrier",
                          .kernel = "named_barriers_apart",
                          .threads = 128,
                          .shared_bytes = 512,
                          .input = first(128),
                          .expected = rounds(rounds(first(128), 0, 64, 2, 1, 33, 2), 64, 64, 5, 1, 33, 2)});
  family.tests.push_back({.name = "named_barrier_arrive: a slot goes to and fro",
                          .kernel = "named_barrier_hand_over<5>",
                          .threads = 64,
                          .shared_bytes = 128,
                          .input = input,
                          .expected = words(160, [&](auto i) { return input[i / 32 * 32 + 31 - i % 32]; })});
  family.tests.push_back({.name = "named_barrier_arrive: three warps for one",
                          .kernel = "named_barrier_many_arrive",
                          .threads = 128,
                          .shared_bytes = 512,
                          .input = input,
                          .expected = words(32, [&](auto i) { return input[32 + i] + input[64 + i] + input[96 + i]; })});
  family.tests.push_back({.name = "warp_barrier",
                          .kernel = "warp_barrier_rounds",
                          .threads = 64,
                          .shared_bytes = 256,
                          .input = first(64),
                          .expected = rounds(rounds(first(64), 0, 32, 4, 5, 11, 1), 32, 32, 4, 5, 11, 1)});
  // In some rounds one lane votes, in one all do, in one none.
  Words ballots = words(64, [&](auto i) { return (input[i] & 0xffff) | 1u << (16 + i % 15); });
  for (std::uint32_t& word : ballots) word = (word | 2u) & ~4u;
  family.tests.push_back(
      {.name = "warp_ballot and warp_any", .kernel = "votes", .threads = 64, .input = ballots, .expected = voted(ballots)});
  family.tests.push_back({.name = "shuffles", .kernel = "shuffles", .input = first(32), .expected = shuffled(first(32))});
  return family;
}

}  // namespace moe_tune::test
