#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

constexpr std::uint32_t rows = 64;

/// Element `column` of the row that lane `lane` addresses.
std::uint32_t element(const Words& input, std::uint32_t stride, std::uint32_t lane, std::uint32_t column) {
  const std::uint32_t row = (stride * lane + 7) % rows;
  return input[row * 4 + column / 2] >> column % 2 * 16 & 0xffff;
}

MicroTest test(std::uint32_t matrices, bool transposed, std::uint32_t stride) {
  const Words input = random_words(rows * 4, 3 + stride);
  return {.name = fmt::format("x{}{}, rows {} apart", matrices, transposed ? " transposed" : "", stride),
          .kernel = fmt::format("load_fragments<{}, {}, {}>", matrices, transposed, stride),
          .shared_bytes = rows * 16,
          .input = input,
          .expected = words(32 * matrices, [&](auto i) {
            const std::uint32_t matrix = i % matrices, across = i / matrices / 4, along = i / matrices % 4 * 2;
            const auto at = [&](std::uint32_t next) {
              return transposed ? element(input, stride, matrix * 8 + along + next, across)
                                : element(input, stride, matrix * 8 + across, along + next);
            };
            return at(0) | at(1) << 16;
          })};
}

}  // namespace

InstructionFamily ldmatrix_family() {
  InstructionFamily family{.name = "ldmatrix", .file = "ldmatrix.cuh", .tests = {}};
  for (const std::uint32_t matrices : {2u, 4u}) {
    for (const bool transposed : {false, true}) {
      // In order, scattered, and all lanes at one row.
      for (const std::uint32_t stride : {1u, 5u, 0u}) family.tests.push_back(test(matrices, transposed, stride));
    }
  }
  return family;
}

}  // namespace moe_tune::test
