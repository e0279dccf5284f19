#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

constexpr std::uint32_t rows = 64;

MicroTest test(std::uint32_t matrices, bool transposed, std::uint32_t stride) {
  const Words input = random_words(32 * matrices, 40 + stride);
  Words expected(rows * 4, ~0u);
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    for (std::uint32_t matrix = 0; matrix < matrices; ++matrix) {
      for (std::uint32_t next = 0; next < 2; ++next) {
        const std::uint32_t across = lane / 4, along = lane % 4 * 2 + next;
        const std::uint32_t row_lane = matrix * 8 + (transposed ? along : across), column = transposed ? across : along;
        std::uint32_t& word = expected[(stride * row_lane + 7) % rows * 4 + column / 2];
        const std::uint32_t value = input[lane * matrices + matrix] >> next * 16 & 0xffff;
        word = (word & ~(0xffffu << column % 2 * 16)) | value << column % 2 * 16;
      }
    }
  }
  return {.name = fmt::format("x{}{}, rows {} apart", matrices, transposed ? " transposed" : "", stride),
          .kernel = fmt::format("store_fragments<{}, {}, {}>", matrices, transposed, stride),
          .shared_bytes = rows * 16,
          .input = input,
          .expected = expected};
}

}  // namespace

InstructionFamily stmatrix_family() {
  InstructionFamily family{.name = "stmatrix", .file = "stmatrix.cuh", .tests = {}};
  for (const std::uint32_t matrices : {2u, 4u}) {
    for (const bool transposed : {false, true}) {
      for (const std::uint32_t stride : {1u, 5u}) family.tests.push_back(test(matrices, transposed, stride));
    }
  }
  return family;
}

}  // namespace moe_tune::test
