#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

InstructionFamily shared_family() {
  InstructionFamily family{.name = "shared", .file = "shared.cuh", .tests = {}};
  const Words input = random_words(512, 1);
  family.tests.push_back({.name = "words",
                          .kernel = "shared_words<128>",
                          .blocks = 4,
                          .threads = 128,
                          .shared_bytes = 512,
                          .input = input,
                          .expected = words(512, [&](auto i) { return input[i / 128 * 128 + 127 - i % 128]; })});
  family.tests.push_back({.name = "floats",
                          .kernel = "shared_floats<64>",
                          .threads = 64,
                          .shared_bytes = 256,
                          .input = input,
                          .expected = words(64, [&](auto i) { return input[i ^ 5]; })});
  family.tests.push_back({.name = "16 bytes",
                          .kernel = "shared_16_bytes<128>",
                          .threads = 128,
                          .shared_bytes = 2048,
                          .input = input,
                          .expected = words(512, [&](auto i) { return input[(127 - i / 4) * 4 + i % 4]; })});
  family.tests.push_back({.name = "sizes mixed",
                          .kernel = "shared_sizes_mixed",
                          .shared_bytes = 32,
                          .input = input,
                          .expected = words(8, [&](auto i) { return input[i % 4] + i / 4; })});
  family.tests.push_back({.name = "base is aligned",
                          .kernel = "shared_base_alignment",
                          .blocks = 2,
                          .shared_bytes = 1024,
                          .expected = Words(64, 0)});
  return family;
}

}  // namespace moe_tune::test
