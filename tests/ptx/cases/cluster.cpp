#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

/// Tests in clusters of `size`, two clusters of them.
class ClusterTests {
 public:
  ClusterTests(InstructionFamily& family, std::uint32_t size) : family_(family), size_(size) {}

  /// value(block) by lane: expected(first block of the cluster, rank, lane).
  template <class Expected>
  void add(const char* name, const std::string& kernel, std::uint32_t shared_bytes, const Words& input, std::size_t words_out,
           Expected&& expected) {
    const std::size_t per_block = words_out / blocks();
    family_.tests.push_back({.name = fmt::format("{}, clusters of {}", name, size_),
                             .kernel = kernel,
                             .blocks = blocks(),
                             .cluster = size_,
                             .shared_bytes = shared_bytes,
                             .input = input,
                             .expected = words(words_out, [&](auto i) {
                               const auto block = static_cast<std::uint32_t>(i / per_block);
                               return expected(block / size_ * size_, block % size_, static_cast<std::uint32_t>(i % per_block));
                             })});
  }
  std::uint32_t blocks() const { return size_ * 2; }

 private:
  InstructionFamily& family_;
  std::uint32_t size_;
};

/// Three rounds of `next`, which gets a cluster's values of one lane.
template <class Next>
std::uint32_t three_rounds(const Words& input, std::uint32_t first, std::uint32_t size, std::uint32_t rank, std::uint32_t lane,
                           Next&& next) {
  Words values = words(size, [&](auto i) { return input[(first + i) * 32 + lane]; });
  for (int round = 0; round < 3; ++round) values = words(size, [&, before = values](auto i) { return next(before, i); });
  return values[rank];
}

void add_tests(InstructionFamily& family, std::uint32_t size) {
  ClusterTests tests(family, size);
  const Words input = random_words(tests.blocks() * 32, 120 + size);
  const std::size_t one_each = tests.blocks() * 32;
  const auto kernel = [&](const char* name) { return fmt::format("{}<{}>", name, size); };

  tests.add("words of neighbours", kernel("words_of_neighbours"), 128, input, one_each, [&](auto first, auto rank, auto lane) {
    const auto of = [&](std::uint32_t other) { return input[(first + other % size) * 32 + lane]; };
    return of(rank + size - 1) * 3 + of(rank + 2 * size - 2);
  });
  tests.add("arrive and wait apart", kernel("split_barriers"), 128, input, one_each, [&](auto first, auto rank, auto lane) {
    return three_rounds(input, first, size, rank, lane, [](const Words& before, std::uint32_t i) {
      std::uint32_t value = before[i] * 7;
      for (const std::uint32_t other : before) value += other;
      return value;
    });
  });
  tests.add("mbarrier_arrive_cluster", kernel("remote_arrivals"), 16 + size * 128, input, one_each,
            [&](auto first, auto rank, auto lane) {
              return three_rounds(input, first, size, rank, lane, [](const Words& before, std::uint32_t i) {
                std::uint32_t value = before[i];
                for (const std::uint32_t other : before) value = value * 3 + other + i;
                return value;
              });
            });
  tests.add("mbarrier_arrive_cluster_relaxed", kernel("relaxed_arrivals"), 8, input, one_each,
            [&](auto first, auto rank, auto lane) { return input[(first + rank) * 32 + lane] + 1; });

  // Both phases, one after the other.
  const auto stored = [&](std::size_t i, std::uint32_t count) {
    const auto phase = static_cast<std::uint32_t>(i / one_each), block = static_cast<std::uint32_t>(i % one_each / 32);
    const std::uint32_t from = block / size * size + (block + size - 1) % size;
    const std::uint32_t value = input[from * 32 + i % 32] + phase;
    std::uint32_t sum = 0;
    for (std::uint32_t factor = 1; factor < 2 * count; factor += 2) sum = sum * 11 + value * factor;
    return sum;
  };
  for (const std::uint32_t count : {1u, 4u}) {
    family.tests.push_back({.name = fmt::format("st_async of {} words, clusters of {}", count, size),
                            .kernel = fmt::format("asynchronous_stores<{}, {}>", size, count),
                            .blocks = tests.blocks(),
                            .cluster = size,
                            .shared_bytes = 16 + 128 * count,
                            .input = input,
                            .expected = words(2 * one_each, [&](auto i) { return stored(i, count); })});
  }
  const Words pieces = random_words(tests.blocks() * 128, 130);
  tests.add("bulk_copy_to_cluster", kernel("bulk_copies_between_blocks"), 1032, pieces, tests.blocks() * 128,
            [&](auto first, auto rank, auto i) { return pieces[(first + (rank + 1) % size) * 128 + i]; });
}

}  // namespace

InstructionFamily cluster_family() {
  InstructionFamily family{.name = "cluster", .file = "cluster.cuh", .tests = {}};
  for (const std::uint32_t size : {1u, 2u, 4u, 8u}) {
    ClusterTests(family, size).add("positions", "cluster_positions", 0, {}, size * 2 * 128, [&](auto first, auto rank, auto i) {
      const std::uint32_t values[] = {rank, size, first / size, 2};
      return values[i % 4];
    });
  }
  for (const std::uint32_t size : {2u, 4u}) add_tests(family, size);
  return family;
}

}  // namespace moe_tune::test
