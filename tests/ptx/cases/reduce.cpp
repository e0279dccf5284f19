#include <algorithm>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

InstructionFamily reduce_family() {
  InstructionFamily family{.name = "reduce", .file = "reduce.cuh", .tests = {}};
  // The largest in the first lane, in the last, above 2^31, everywhere the same, and 0.
  Words input = random_words(160, 5);
  input[0] = 0xffffffffu;
  input[63] = 0xfffffffeu;
  std::transform(input.begin() + 64, input.begin() + 96, input.begin() + 64, [](std::uint32_t word) { return word >> 1; });
  std::fill(input.begin() + 96, input.begin() + 128, 7u);
  std::fill(input.begin() + 128, input.end(), 0u);
  family.tests.push_back(
      {.name = "warp_max", .kernel = "largest_of_warp", .threads = 160, .input = input, .expected = words(160, [&](auto i) {
                                                                                          const auto warp =
                                                                                              input.begin() +
                                                                                              static_cast<long>(i / 32 * 32);
                                                                                          return *std::max_element(warp,
                                                                                                                   warp + 32);
                                                                                        })});
  return family;
}

}  // namespace moe_tune::test
