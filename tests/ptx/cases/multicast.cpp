#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

/// Rows of 128 bytes without gaps, in planes of eight.
TensorMapDescription rows(int rank) {
  return {.type = MapElement::u32,
          .rank = rank,
          .address = 0,
          .dims = {32, rank == 2 ? 64u : 8u, 8},
          .strides = {128, 1024},
          .box = {32, 8, 1}};
}

MicroTest pieces_test(const char* by, int rank, std::uint32_t size, std::uint32_t mask) {
  const std::uint32_t blocks = size * 2, per_block = size * 256;
  const Words input = random_words(per_block, 220);
  MicroTest test{.name = fmt::format("{}, clusters of {}, masks {:x}", by, size, mask),
                 .kernel = fmt::format("pieces_to_all<{}, {}, micro::Copy::{}>", size, mask, by),
                 .blocks = blocks,
                 .cluster = size,
                 .shared_bytes = size * 1024 + 8,
                 .input = input,
                 .expected = words(blocks * per_block, [&](auto i) {
                   const std::uint32_t to = i / per_block % size, from = i % per_block / 256;
                   return (mask >> (4 * from + to) & 1) != 0 ? input[i % per_block] : ~0u;
                 })};
  if (rank > 0) test.maps.push_back({MapOperand::Buffer::input, rows(rank)});
  return test;
}

}  // namespace

InstructionFamily multicast_family() {
  InstructionFamily family{.name = "multicast", .file = "multicast.cuh", .tests = {}};
  const std::pair<const char*, int> copies[] = {
      {"bulk", 0}, {"box_2d", 2}, {"box_2d_policy", 2}, {"box_3d", 3}, {"box_3d_policy", 3}};
  for (const auto& [by, rank] : copies) {
    // Hexadecimal digit r: the blocks that block r loads to. All to all; each to others; only some.
    family.tests.push_back(pieces_test(by, rank, 2, 0x33));
    family.tests.push_back(pieces_test(by, rank, 2, 0x12));
    family.tests.push_back(pieces_test(by, rank, 4, 0x7fff));
    family.tests.push_back(pieces_test(by, rank, 4, 0x084a));
  }
  for (const std::uint32_t size : {2u, 4u}) {
    constexpr std::uint32_t boxes = 7;
    const Words input = random_words(boxes * 256, 221);
    family.tests.push_back({.name = fmt::format("a ring, clusters of {}", size),
                            .kernel = fmt::format("ring_for_all<{}, {}>", size, boxes),
                            .blocks = size,
                            .threads = 64,
                            .cluster = size,
                            .shared_bytes = 2 * (1024 + 16),
                            .maps = {{MapOperand::Buffer::input, rows(2)}},
                            .input = input,
                            .expected = words(size * 128, [&](auto i) {
                              std::uint32_t sum = 0;
                              for (std::uint32_t part = 0; part < boxes * 2; ++part) sum = sum * 3 + input[part * 128 + i % 128];
                              return sum;
                            })});
  }
  return family;
}

}  // namespace moe_tune::test
