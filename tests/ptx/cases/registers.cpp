#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

std::uint32_t mixed(const Words& input, std::size_t count, std::uint32_t start) {
  Words values(input.begin(), input.begin() + static_cast<long>(count));
  for (std::uint32_t& value : values) value += start;
  for (int round = 0; round < 3; ++round) {
    // In place: the last ones see new neighbours.
    for (std::size_t i = 0; i < count; ++i) values[i] = values[i] * 3 + (values[(i + 1) % count] ^ values[(i + 7) % count]);
  }
  std::uint32_t sum = 0;
  for (const std::uint32_t value : values) sum = sum * 5 + value;
  return sum;
}

}  // namespace

InstructionFamily registers_family() {
  InstructionFamily family{.name = "registers", .file = "registers.cuh", .tests = {}};
  const Words input = random_words(600, 50);
  for (const char* kernel : {"specialised_warpgroups<40, 232>", "specialised_warpgroups<24, 240>"}) {
    family.tests.push_back({.name = kernel,
                            .kernel = kernel,
                            .threads = 384,
                            .shared_bytes = 512,
                            .input = input,
                            .expected = words(384, [&](auto t) {
                              const std::uint32_t word = input[200 + t];
                              return t < 128 ? mixed(input, 8, word) : mixed(input, 160, word + t % 128 * 7);
                            })});
  }
  family.tests.push_back(
      {.name = "to and fro", .kernel = "give_and_take", .threads = 384, .input = input, .expected = words(384, [&](auto t) {
                                                                                          return mixed(input, 100,
                                                                                                       input[200 + t]);
                                                                                        })});
  return family;
}

}  // namespace moe_tune::test
