#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/boxes.hpp"
#include "tests/ptx/support/matrices.hpp"

namespace moe_tune::test {

namespace {

constexpr std::uint32_t tile_rows = 64;  // of A
constexpr std::uint32_t step_k = 16;

/// An operand in shared memory: `rows` of M or N, `depth` of K.
struct Layout {
  Swizzle swizzle;
  bool mn_major;
  std::uint32_t rows;
  std::uint32_t depth;
  bool k_first = true;  ///< without a swizzle: 8x8 matrices that follow each other along K are neighbours

  std::uint32_t span() const { return static_cast<std::uint32_t>(span_bytes(swizzle)); }
  /// Elements of M or N in the row of a swizzled mn-major operand.
  std::uint32_t row_elements() const { return span() / 2; }
  std::uint32_t leading() const {
    if (swizzle == Swizzle::none) return k_first ? 128 : rows / 8 * 128;
    return mn_major ? depth * span() : 16;
  }
  std::uint32_t stride() const {
    if (swizzle == Swizzle::none) return k_first ? depth / 8 * 128 : 128;
    return 8 * span();
  }
  std::uint32_t step() const {
    if (swizzle == Swizzle::none) return 2 * leading();
    return mn_major ? 2 * stride() : 32;
  }
  /// Up to a multiple of 1024, so that what follows begins a pattern.
  std::uint32_t bytes() const {
    const std::uint32_t whole_rows =
        swizzle != Swizzle::none && mn_major ? (rows + row_elements() - 1) / row_elements() * row_elements() : rows;
    return (whole_rows * depth * 2 + 1023) / 1024 * 1024;
  }
  /// Of an element, from the operand's first byte.
  std::uint32_t position(std::uint32_t row, std::uint32_t k) const {
    if (swizzle == Swizzle::none) {
      const std::uint32_t within = mn_major ? k % 8 * 16 + row % 8 * 2 : row % 8 * 16 + k % 8 * 2;
      return row / 8 * stride() + k / 8 * leading() + within;
    }
    if (!mn_major) return swizzled_position(swizzle, row * span() + k * 2);
    return swizzled_position(swizzle, row / row_elements() * leading() + k * span() + row % row_elements() * 2);
  }

  std::string code() const {
    constexpr const char* modes[] = {"none", "b32", "b64", "b128"};
    return fmt::format("micro::Operand<SwizzleMode::{}, Major::{}, {}, {}, {}, {}>", modes[static_cast<int>(swizzle)],
                       mn_major ? "mn" : "k", leading(), stride(), step(), bytes());
  }
  std::string describe() const { return fmt::format("{} {}", mn_major ? "mn" : "k", swizzle == Swizzle::none ? 0 : span()); }
};

/// The depth that one row of a k-major operand of this swizzle holds; two steps where a row does not limit it.
std::uint32_t natural_depth(Swizzle swizzle) {
  return swizzle == Swizzle::none ? 2 * step_k : static_cast<std::uint32_t>(span_bytes(swizzle)) / 2;
}

/// Puts an operand, `at(row, k)`, into an image of shared memory.
template <class At>
void append_image(Words& image, const Layout& layout, const HalfFormat& format, At&& at) {
  Words part(layout.bytes() / 4, 0x7fff7fff);  // NaN where no element is
  for (std::uint32_t row = 0; row < layout.rows; ++row) {
    for (std::uint32_t k = 0; k < layout.depth; ++k) {
      const std::uint16_t word = to_half(format, at(row, k));
      std::memcpy(bytes_of(part) + layout.position(row, k), &word, 2);
    }
  }
  image.insert(image.end(), part.begin(), part.end());
}

void append_a(Words& image, const Layout& layout, const HalfFormat& format, const Matrix& a, std::uint32_t first_row = 0) {
  append_image(image, layout, format, [&](std::uint32_t row, std::uint32_t k) { return a.at(first_row + row, k); });
}
void append_b(Words& image, const Layout& layout, const HalfFormat& format, const Matrix& b) {
  append_image(image, layout, format, [&](std::uint32_t column, std::uint32_t k) { return b.at(k, column); });
}

/// The accumulators of every thread, of 64 rows for each warpgroup.
Words accumulators(const Matrix& d) {
  const auto count = static_cast<std::uint32_t>(d.columns / 2);
  return words(d.rows / tile_rows * 128 * count, [&](std::uint32_t i) {
    const std::uint32_t thread = i / count, lane = thread % 32, part = i % count;
    const std::uint32_t row = thread / 32 * 16 + lane / 4 + part / 2 % 2 * 8;
    return bits(static_cast<float>(d.at(row, part / 4 * 8 + lane % 4 * 2 + part % 2)));
  });
}

struct Options {
  int scale_a = 1;
  int scale_b = 1;
  bool start = false;  ///< from accumulators that hold something
  std::uint32_t warpgroups = 1;
  bool reals = false;
};

Matrix random_matrix(const HalfFormat& format, bool reals, std::size_t rows, std::size_t columns, std::uint32_t seed) {
  return reals ? random_reals(format, rows, columns, seed) : random_integers(rows, columns, seed);
}

/// Sums of a few dozen products of up to 4, each rounded or cut off to 24 bits.
void allow_rounding(MicroTest& test) {
  test.tolerance = 0x1p-22;
  test.scale = 64;
}

MicroTest shared_test(const HalfFormat& format, const Layout& a_layout, const Layout& b_layout, Options options = {}) {
  const std::uint32_t depth = std::min(a_layout.depth, b_layout.depth), n = b_layout.rows;
  const Matrix a = random_matrix(format, options.reals, tile_rows * options.warpgroups, a_layout.depth, 300 + n);
  const Matrix b = random_matrix(format, options.reals, b_layout.depth, n, 301 + n);
  Matrix d{a.rows, n, std::vector<double>(a.rows * n, 0.0)};
  if (options.start) d = random_integers(a.rows, n, 302);
  MicroTest test{.name = fmt::format("{} n {}: a {}, b {}, scales {} {}{}{}{}", format.name, n, a_layout.describe(),
                                     b_layout.describe(), options.scale_a, options.scale_b, options.start ? ", accumulating" : "",
                                     options.warpgroups > 1 ? ", two warpgroups" : "", options.reals ? ", real numbers" : ""),
                 .kernel = fmt::format("product_of_shared<{}, {}, {}, {}, {}, {}, {}, micro::Start::{}, {}>", format.name, n,
                                       a_layout.code(), b_layout.code(), depth / step_k, options.scale_a, options.scale_b,
                                       options.start ? "registers" : "nothing", options.warpgroups),
                 .threads = 128 * options.warpgroups,
                 .shared_bytes = options.warpgroups * a_layout.bytes() + b_layout.bytes()};
  for (std::uint32_t i = 0; i < options.warpgroups; ++i) append_a(test.input, a_layout, format, a, i * tile_rows);
  append_b(test.input, b_layout, format, b);
  if (options.start) {
    const Words start = accumulators(d);
    test.input.insert(test.input.end(), start.begin(), start.end());
  }
  // As deep as the shallower one.
  Matrix used_a{a.rows, depth, {}}, used_b{depth, n, {b.values.begin(), b.values.begin() + static_cast<long>(depth * n)}};
  for (std::size_t row = 0; row < a.rows; ++row) {
    for (std::size_t k = 0; k < depth; ++k) used_a.values.push_back(a.at(row, k));
  }
  test.expected = accumulators(product(used_a, used_b, d, options.scale_a * options.scale_b));
  if (options.reals) allow_rounding(test);
  return test;
}

MicroTest registers_test(const HalfFormat& format, const Layout& b_layout, Options options = {}) {
  const std::uint32_t depth = b_layout.depth, n = b_layout.rows;
  const Matrix a = random_matrix(format, options.reals, tile_rows, depth, 310 + n);
  const Matrix b = random_matrix(format, options.reals, depth, n, 311 + n);
  MicroTest test{.name = fmt::format("{} n {}: a in registers, b {}, scales {} {}{}", format.name, n, b_layout.describe(),
                                     options.scale_a, options.scale_b, options.reals ? ", real numbers" : ""),
                 .kernel = fmt::format("product_of_registers<{}, {}, {}, {}, {}, {}>", format.name, n, b_layout.code(),
                                       depth / step_k, options.scale_a, options.scale_b),
                 .threads = 128,
                 .shared_bytes = b_layout.bytes()};
  append_b(test.input, b_layout, format, b);
  for (std::uint32_t step = 0; step < depth / step_k; ++step) {
    for (std::uint32_t i = 0; i < 512; ++i) {
      const std::uint32_t thread = i / 4, lane = thread % 32, part = i % 4;
      test.input.push_back(
          pair_along_row(format, a, thread / 32 * 16 + lane / 4 + part % 2 * 8, step * step_k + lane % 4 * 2 + part / 2 * 8));
    }
  }
  const Matrix zero{tile_rows, n, std::vector<double>(tile_rows * n, 0.0)};
  test.expected = accumulators(product(a, b, zero, options.scale_a * options.scale_b));
  if (options.reals) allow_rounding(test);
  return test;
}

/// K-major with 128-byte rows, as the kernels have it.
Layout usual(std::uint32_t rows) { return {Swizzle::bytes128, false, rows, 64}; }

MicroTest groups_test(const HalfFormat& format, std::uint32_t n) {
  const Layout layouts[] = {usual(tile_rows), usual(n)};
  const Matrix a = random_integers(tile_rows, 64, 320), b = random_integers(64, n, 321);
  const auto step = [&](std::size_t index, const Matrix& d) {
    Matrix part_a{tile_rows, step_k, {}}, part_b{step_k, n, {}};
    for (std::size_t row = 0; row < tile_rows; ++row) {
      for (std::size_t k = 0; k < step_k; ++k) part_a.values.push_back(a.at(row, index * step_k + k));
    }
    for (std::size_t k = 0; k < step_k; ++k) {
      for (std::size_t column = 0; column < n; ++column) part_b.values.push_back(b.at(index * step_k + k, column));
    }
    return product(part_a, part_b, d);
  };
  const Matrix zero{tile_rows, n, std::vector<double>(tile_rows * n, 0.0)};
  const Matrix first = step(0, zero), second = step(1, zero);
  Matrix doubled = first;
  for (double& value : doubled.values) value *= 2;
  MicroTest test{.name = fmt::format("{} n {}: two groups in flight", format.name, n),
                 .kernel = fmt::format("groups_in_flight<{}, {}, {}, {}>", format.name, n, layouts[0].code(), layouts[1].code()),
                 .threads = 128,
                 .shared_bytes = layouts[0].bytes() + layouts[1].bytes()};
  append_a(test.input, layouts[0], format, a);
  append_b(test.input, layouts[1], format, b);
  for (const Matrix& d : {first, second, step(1, doubled)}) {
    const Words part = accumulators(d);
    test.expected.insert(test.expected.end(), part.begin(), part.end());
  }
  return test;
}

constexpr Swizzle all_swizzles[] = {Swizzle::none, Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128};

}  // namespace

/// Every N.
InstructionFamily wgmma_sizes_family() {
  InstructionFamily family{.name = "wgmma_sizes", .file = "wgmma.cuh", .tests = {}};
  for (std::uint32_t n = 8; n <= 256; n += 8)
    family.tests.push_back(shared_test(n % 16 == 0 ? bf16_format : fp16_format, usual(tile_rows), usual(n)));
  for (const std::uint32_t n : {16u, 64u, 192u, 256u})
    family.tests.push_back(shared_test(fp16_format, usual(tile_rows), usual(n)));
  for (const std::uint32_t n : {8u, 24u, 136u}) family.tests.push_back(shared_test(bf16_format, usual(tile_rows), usual(n)));
  return family;
}

/// Every layout of A and B.
InstructionFamily wgmma_layouts_family() {
  InstructionFamily family{.name = "wgmma_layouts", .file = "wgmma.cuh", .tests = {}};
  const HalfFormat* formats[] = {&bf16_format, &fp16_format};
  for (const Swizzle a : all_swizzles) {
    for (const Swizzle b : all_swizzles) {
      const std::uint32_t depth = std::min(natural_depth(a), natural_depth(b));
      for (const bool a_mn : {false, true}) {
        for (const bool b_mn : {false, true}) {
          // What runs along K is as deep as its row; what does not may be as deep as the other.
          const Layout a_layout{a, a_mn, tile_rows, a_mn ? depth : natural_depth(a)};
          const Layout b_layout{b, b_mn, 72, b_mn ? depth : natural_depth(b)};
          family.tests.push_back(shared_test(*formats[(a_mn + b_mn + static_cast<int>(a)) % 2], a_layout, b_layout));
        }
      }
    }
  }
  for (const bool mn : {false, true}) {
    const Layout apart{Swizzle::none, mn, tile_rows, 48, false}, close{Swizzle::none, mn, 40, 48, true};
    family.tests.push_back(shared_test(bf16_format, apart, close));
    // Wider than one row of the swizzle, and not a multiple of it.
    for (const Swizzle swizzle : all_swizzles) {
      family.tests.push_back(shared_test(fp16_format, usual(tile_rows), {swizzle, true, mn ? 200u : 8u, 64}));
    }
  }
  return family;
}

/// Signs, starts, several warpgroups and groups, real numbers.
InstructionFamily wgmma_modes_family() {
  InstructionFamily family{.name = "wgmma_modes", .file = "wgmma.cuh", .tests = {}};
  for (const HalfFormat& format : {bf16_format, fp16_format}) {
    for (const int scale_a : {1, -1}) {
      for (const int scale_b : {1, -1}) {
        family.tests.push_back(
            shared_test(format, usual(tile_rows), usual(32), {.scale_a = scale_a, .scale_b = scale_b, .start = true}));
      }
    }
    for (const std::uint32_t n : {8u, 256u})
      family.tests.push_back(shared_test(format, usual(tile_rows), usual(n), {.start = true}));
    family.tests.push_back(shared_test(format, usual(tile_rows), usual(128), {.warpgroups = 2}));
    family.tests.push_back(shared_test(format, usual(tile_rows), usual(64), {.reals = true}));
    family.tests.push_back(groups_test(format, 64));
  }
  return family;
}

/// A in registers.
InstructionFamily wgmma_registers_family() {
  InstructionFamily family{.name = "wgmma_registers", .file = "wgmma.cuh", .tests = {}};
  for (std::uint32_t n = 8; n <= 256; n += 8)
    family.tests.push_back(registers_test(n % 16 == 0 ? fp16_format : bf16_format, usual(n)));
  for (const HalfFormat& format : {bf16_format, fp16_format}) {
    for (const Swizzle swizzle : all_swizzles) {
      for (const bool mn : {false, true}) {
        if (mn || swizzle != Swizzle::bytes128)
          family.tests.push_back(registers_test(format, {swizzle, mn, 88, natural_depth(swizzle)}));
      }
    }
    for (const int scale : {1, -1}) family.tests.push_back(registers_test(format, usual(48), {.scale_a = -1, .scale_b = scale}));
    family.tests.push_back(registers_test(format, usual(64), {.reals = true}));
  }
  return family;
}

}  // namespace moe_tune::test
