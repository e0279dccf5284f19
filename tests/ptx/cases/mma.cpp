#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/matrices.hpp"

namespace moe_tune::test {

namespace {

/// The registers of a 16x8 accumulator by lane.
Words accumulators(const Matrix& d) {
  return words(128, [&](std::uint32_t i) {
    const std::uint32_t lane = i / 4, part = i % 4;
    return bits(static_cast<float>(d.at(lane / 4 + part / 2 * 8, lane % 4 * 2 + part % 2)));
  });
}

MicroTest test(const std::string& name, const HalfFormat& format, const Matrix& d, const std::vector<Matrix>& as,
               const std::vector<Matrix>& bs) {
  MicroTest test{.name = fmt::format("{} of {}", name, format.name),
                 .kernel = fmt::format("multiply<{}, {}>", format.name, as.size()),
                 .input = accumulators(d)};
  Matrix sum = d;
  for (std::size_t step = 0; step < as.size(); ++step) {
    const Matrix &a = as[step], &b = bs[step];
    for (std::uint32_t i = 0; i < 128; ++i) {
      const std::uint32_t lane = i / 4, part = i % 4;
      test.input.push_back(pair_along_row(format, a, lane / 4 + part % 2 * 8, lane % 4 * 2 + part / 2 * 8));
    }
    for (std::uint32_t i = 0; i < 64; ++i) {
      const std::uint32_t lane = i / 2, part = i % 2;
      test.input.push_back(pair_along_column(format, b, lane % 4 * 2 + part * 8, lane / 4));
    }
    sum = product(a, b, sum);
  }
  test.expected = accumulators(sum);
  return test;
}

}  // namespace

InstructionFamily mma_family() {
  InstructionFamily family{.name = "mma", .file = "mma.cuh", .tests = {}};
  for (const HalfFormat& format : {bf16_format, fp16_format}) {
    const Matrix d = random_integers(16, 8, 60);
    std::vector<Matrix> as, bs, real_as, real_bs;
    for (std::uint32_t step = 0; step < 4; ++step) {
      as.push_back(random_integers(16, 16, 61 + step));
      bs.push_back(random_integers(16, 8, 71 + step));
      real_as.push_back(random_reals(format, 16, 16, 81 + step));
      real_bs.push_back(random_reals(format, 16, 8, 91 + step));
    }
    family.tests.push_back(test("integers", format, d, {as[0]}, {bs[0]}));
    family.tests.push_back(test("a sum of four products", format, d, as, bs));

    family.tests.push_back(test("real numbers", format, d, real_as, real_bs));
    // Sums of 64 products of up to 4, each rounded or cut off to 24 bits.
    family.tests.back().tolerance = 0x1p-22;
    family.tests.back().scale = 64;

    Matrix special = as[0];
    special.at(3, 5) = std::numeric_limits<double>::infinity();
    special.at(9, 0) = std::numeric_limits<double>::quiet_NaN();
    Matrix ones = bs[0];
    for (double& value : ones.values) value = 1;
    ones.at(5, 2) = 0;  // infinity times zero
    family.tests.push_back(test("infinity and NaN", format, d, {special}, {ones}));
    family.tests.back().tolerance = 0;
  }
  return family;
}

}  // namespace moe_tune::test
