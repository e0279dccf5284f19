#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

MicroTest offset_test(int offset) {
  const Words input = random_words(256, 30);
  return {.name = fmt::format("offset {}", offset),
          .kernel = fmt::format("copy_with_offset<{}>", offset),
          .threads = 64,
          .shared_bytes = 1024,
          .input = input,
          .expected = words(256, [&](auto i) { return i / 4 % 3 == 2 ? 0 : input[(63 - i / 4) * 4 + i % 4]; })};
}

MicroTest ring_test(std::uint32_t stages) {
  constexpr std::uint32_t pieces = 11;
  const Words input = random_words(pieces * 128, 31);
  return {.name = fmt::format("a ring of {} stages", stages),
          .kernel = fmt::format("ring<{}, {}>", stages, pieces),
          .shared_bytes = stages * 512,
          .input = input,
          .expected = words(128, [&](auto i) {
            std::uint32_t sum = 0;
            for (std::uint32_t piece = 0; piece < pieces; ++piece) {
              sum += input[piece * 128 + (31 - i / 4) * 4 + i % 4] * (piece + 1);
            }
            return sum;
          })};
}

}  // namespace

InstructionFamily cp_async_family() {
  InstructionFamily family{.name = "cp_async", .file = "cp_async.cuh", .tests = {}};
  for (const int offset : {0, 16, -48, (1 << 23) - 16, -(1 << 23)}) family.tests.push_back(offset_test(offset));
  for (const std::uint32_t stages : {2u, 3u, 5u}) family.tests.push_back(ring_test(stages));
  return family;
}

}  // namespace moe_tune::test
