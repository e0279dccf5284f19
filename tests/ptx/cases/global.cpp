#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

/// Values of `size` bytes, each where its neighbour's was.
Words neighbours_swapped(const Words& input, std::size_t count, std::size_t size) {
  Words out(count * size / 4);
  const auto* from = reinterpret_cast<const unsigned char*>(input.data());
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  for (std::size_t i = 0; i < count * size; ++i) to[i] = from[(i / size ^ 1) * size + i % size];
  return out;
}

}  // namespace

InstructionFamily global_family() {
  InstructionFamily family{.name = "global", .file = "global.cuh", .tests = {}};
  Words input = random_words(128, 10);
  const std::pair<const char*, std::size_t> types[] = {{"unsigned char", 1}, {"u16", 2}, {"u32", 4},
                                                       {"float", 4},         {"i64", 8}, {"u64", 8}};
  for (const char* kernel : {"weak_copy", "constant_copy"}) {
    for (const auto& [type, size] : types) {
      family.tests.push_back({.name = fmt::format("{} of {}", kernel, type),
                              .kernel = fmt::format("{}<{}>", kernel, type),
                              .input = input,
                              .expected = neighbours_swapped(input, 32, size)});
    }
  }
  Words three = neighbours_swapped(input, 32, 16);
  three.insert(three.end(), three.begin(), three.end());
  three.insert(three.end(), three.begin(), three.begin() + 128);
  family.tests.push_back({.name = "16 bytes", .kernel = "copies_of_16_bytes", .input = input, .expected = three});
  family.tests.push_back({.name = "advance", .kernel = "rows_backwards", .input = input, .expected = words(94, [&](auto i) {
                                                                                           return i % 3 == 0 ? input[31 - i / 3]
                                                                                                             : poison;
                                                                                         })});
  Words rounds(input.begin(), input.begin() + 96);
  for (int round = 0; round < 4; ++round) rounds = words(96, [&](auto i) { return rounds[(i + 35) % 96] * 3 + 1; });
  family.tests.push_back({.name = "stores are seen after block_barrier",
                          .kernel = "stores_seen_after_barrier",
                          .threads = 96,
                          .input = input,
                          .expected = rounds});
  Words status = {0x100, 0x200};
  for (std::uint32_t thread = 0; thread < 128; thread += 3) status[thread / 32 % 2] |= 1u << thread % 32;
  family.tests.push_back(
      {.name = "set_status", .kernel = "status_bits", .blocks = 4, .output = {0x100, 0x200}, .expected = status});

  input[77] = 0xffffffff;  // the one largest value
  Words counted(3 + 128, 1);
  counted[0] = 128;
  counted[1] = 0xffffffff;
  Words before(3 + 128, poison);
  before[0] = before[1] = before[2] = 0;
  family.tests.push_back({.name = "atomic_add and atomic_max",
                          .kernel = "atomics_return_before",
                          .blocks = 2,
                          .threads = 64,
                          .input = input,
                          .output = before,
                          .expected = counted});
  return family;
}

}  // namespace moe_tune::test
