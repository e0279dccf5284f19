#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/halves.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

constexpr std::size_t block = 128;
constexpr float infinity = std::numeric_limits<float>::infinity();

/// Filled up to whole blocks.
Words whole_blocks(Words values, std::size_t unit = block) {
  while (values.size() % unit != 0) values.push_back(values[values.size() / 2]);
  return values;
}

/// Every pattern of 16 bits as a float, the tie between it and the next, and what lies just beside that tie.
Words around_every(const HalfFormat& format) {
  Words out;
  for (std::uint32_t pattern = 0; pattern < 0x10000; pattern += pattern % 0x400 < 8 ? 1 : 37) {
    const float value = from_half(format, static_cast<std::uint16_t>(pattern));
    const float next = from_half(format, static_cast<std::uint16_t>(pattern + 1));
    if (!std::isfinite(value)) continue;
    const float tie =
        std::isfinite(next) ? value + (next - value) / 2 : value * (1 + std::ldexp(1.0f, -format.fraction_bits - 2));
    for (const float number : {value, tie, std::nextafter(tie, 0.0f), std::nextafter(tie, infinity)}) out.push_back(bits(number));
  }
  for (const std::uint32_t special : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc00001u, 0x7f800001u, 0x7f7fffffu, 0xff7fffffu,
                                      0x00000001u, 0x80000001u, 0x007fffffu, 0x80000000u}) {
    out.push_back(special);
  }
  const Words more = random_words(4096, 5);
  out.insert(out.end(), more.begin(), more.end());
  return whole_blocks(out, 2 * block);
}

MicroTest pack_test(const HalfFormat& format) {
  const Words input = around_every(format);
  return {.name = fmt::format("pack to {}", format.name),
          .kernel = fmt::format("pack_pairs<{}>", format.name),
          .blocks = static_cast<unsigned>(input.size() / 2 / block),
          .threads = block,
          .input = input,
          .expected = words(input.size() / 2, [&](auto i) {
            return to_half(format, value_of(input[2 * i])) | std::uint32_t{to_half(format, value_of(input[2 * i + 1]))} << 16;
          })};
}

MicroTest unpack_test(const HalfFormat& format) {
  return {.name = fmt::format("unpack all of {}", format.name),
          .kernel = fmt::format("unpack_all<{}>", format.name),
          .blocks = 4,
          .threads = block,
          .expected = words(0x10000, [&](auto i) { return bits(from_half(format, static_cast<std::uint16_t>(i))); }),
          .tolerance = 0};
}

/// A function of one float, within a relative error.
MicroTest function_test(const std::string& name, const std::string& kernel, Words input, float (*function)(float),
                        double tolerance) {
  input = whole_blocks(std::move(input));
  return {.name = name,
          .kernel = kernel,
          .blocks = static_cast<unsigned>(input.size() / block),
          .threads = block,
          .input = input,
          .expected = words(input.size(), [&](auto i) { return bits(function(value_of(input[i]))); }),
          .tolerance = tolerance};
}

float without_subnormals(double value) {
  return static_cast<float>(std::abs(value) < 0x1p-126 ? std::copysign(0.0, value) : value);
}

Words exponents() {
  Words out;
  for (double x = -125.9; x < 128; x += 0.0937) out.push_back(bits(static_cast<float>(x)));
  for (const float x : {0.0f, -0.0f, 1.0f, -1.0f, -126.0f, -126.5f, -130.0f, -149.0f, -200.0f, 127.99f, 128.0f, 500.0f, infinity,
                        -infinity, std::nanf(""), 1e-40f, -1e-40f, 1e-10f, -1e-10f}) {
    out.push_back(bits(x));
  }
  return out;
}

Words divisors() {
  Words out;
  for (const std::uint32_t word : random_words(4096, 6)) {
    if (std::isfinite(value_of(word))) out.push_back(word);
  }
  for (const float x :
       {0.0f, -0.0f, 1.0f, -3.0f, 1e-40f, -1e-40f, 0x1p-126f, 0x1p126f, -0x1p127f, 3e38f, infinity, -infinity, std::nanf("")}) {
    out.push_back(bits(x));
  }
  return out;
}

}  // namespace

InstructionFamily numeric_family() {
  InstructionFamily family{.name = "numeric", .file = "numeric.cuh", .tests = {}};
  for (const HalfFormat& format : {bf16_format, fp16_format}) {
    family.tests.push_back(pack_test(format));
    family.tests.push_back(unpack_test(format));
  }

  // Near 1, so that the product's low bits decide the sum; the third of every four cancels all but those.
  std::mt19937 random(7);
  Words factors;
  for (int i = 0; i < 4096; ++i) {
    const float a = 1 + static_cast<float>(random() >> 8) * 0x1p-24f, b = 1 + static_cast<float>(random() >> 8) * 0x1p-24f;
    const float c = i % 4 == 2 ? -(a * b) : static_cast<float>(random() >> 8) * 0x1p-30f;
    for (const float number : {a, b, c}) factors.push_back(bits(number));
  }
  family.tests.push_back({.name = "fused_multiply_add rounds once",
                          .kernel = "multiply_add",
                          .blocks = 4096 / block,
                          .threads = block,
                          .input = factors,
                          .expected = words(4096, [&](auto i) {
                            return bits(
                                std::fma(value_of(factors[3 * i]), value_of(factors[3 * i + 1]), value_of(factors[3 * i + 2])));
                          })});

  // Two units in the last place and one, of which a number has 2^23 to 2^24; and half a unit of the expected value.
  family.tests.push_back(function_test(
      "exp2_approx", "powers_of_two", exponents(), [](float x) { return without_subnormals(std::exp2(double{x})); },
      2.5 * 0x1p-23));
  family.tests.push_back(function_test(
      "reciprocal_approx", "reciprocals", divisors(),
      [](float x) { return without_subnormals(1 / double{without_subnormals(x)}); }, 1.5 * 0x1p-23));
  family.tests.push_back({.name = "float_bits",
                          .kernel = "bits_of_floats",
                          .threads = block,
                          .input = random_words(block, 8),
                          .expected = random_words(block, 8)});
  return family;
}

}  // namespace moe_tune::test
