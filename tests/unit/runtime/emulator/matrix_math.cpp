#include "runtime/emulator/matrix_math.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include "runtime/reference/half.hpp"

using namespace moe_tune;
using namespace moe_tune::emulator;

namespace {

/// A matrix of 16-bit values. Small integers: every sum of products is exact, in whatever order.
struct HalfMatrix {
  HalfMatrix(int row_count, int column_count, DType element_type, unsigned seed)
      : rows(row_count), columns(column_count), dtype(element_type), bits(static_cast<std::size_t>(rows) * columns) {
    std::mt19937 random(seed);
    for (std::uint16_t& value : bits) value = from_float(static_cast<float>(random() % 17) - 8.0f, dtype);
  }
  std::uint16_t& at(int row, int column) { return bits[static_cast<std::size_t>(row) * columns + column]; }
  float value(int row, int column) const { return to_float(bits[static_cast<std::size_t>(row) * columns + column], dtype); }

  int rows, columns;
  DType dtype;
  std::vector<std::uint16_t> bits;
};

double product(const HalfMatrix& a, const HalfMatrix& b, int row, int column) {
  double sum = 0;
  for (int k = 0; k < a.columns; ++k) sum += static_cast<double>(a.value(row, k)) * b.value(k, column);
  return sum;
}

void put(std::uint32_t& word, int half, std::uint16_t bits) {
  word = half ? (word & 0xffffu) | static_cast<std::uint32_t>(bits) << 16 : (word & 0xffff0000u) | bits;
}

/// The fragments of A as the PTX ISA defines them for the eight elements a0..a7 of a lane.
template <std::size_t Lanes>
void make_a(HalfMatrix& a, std::uint32_t (&registers)[Lanes][4]) {
  for (std::size_t lane = 0; lane < Lanes; ++lane) {
    const int group = static_cast<int>(lane % 32) >> 2;
    for (int i = 0; i < 8; ++i) {
      const int row = static_cast<int>(lane / 32) * 16 + group + (i < 2 || (i >= 4 && i < 6) ? 0 : 8);
      const int k = static_cast<int>(lane % 4) * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      put(registers[lane][i / 2], i % 2, a.at(row, k));
    }
  }
}

/// The fragments of B, elements b0..b3 of a lane.
void make_b(HalfMatrix& b, MmaB& registers) {
  for (int lane = 0; lane < warp_lanes; ++lane) {
    for (int i = 0; i < 4; ++i) put(registers[lane][i / 2], i % 2, b.at(lane % 4 * 2 + (i & 1) + (i >= 2 ? 8 : 0), lane >> 2));
  }
}

/// A matrix as wgmma_m64k16 takes it: element (row, k) at [k * rows + row].
std::vector<float> k_major(const HalfMatrix& m, bool k_is_row) {
  const int depth = k_is_row ? m.rows : m.columns;
  const int width = k_is_row ? m.columns : m.rows;
  std::vector<float> operand(static_cast<std::size_t>(depth) * width);
  for (int k = 0; k < depth; ++k) {
    for (int i = 0; i < width; ++i) operand[static_cast<std::size_t>(k) * width + i] = k_is_row ? m.value(k, i) : m.value(i, k);
  }
  return operand;
}

struct Accumulators {
  explicit Accumulators(int n, float initial) : registers(warpgroup_lanes, std::vector<float>(n / 2, initial)) {
    for (std::vector<float>& lane : registers) pointers.push_back(lane.data());
  }
  std::span<float* const, warpgroup_lanes> lanes() const { return std::span<float* const, warpgroup_lanes>(pointers); }

  std::vector<std::vector<float>> registers;
  std::vector<float*> pointers;
};

/// Where the PTX ISA puts D: d_i of a lane is in row 16 * warp + group (+ 8 for i % 4 >= 2), column 8 * (i / 4) + 2 * (lane % 4)
/// + i % 2.
template <class Check>
void for_each_d(int n, Check check) {
  for (int lane = 0; lane < warpgroup_lanes; ++lane) {
    for (int i = 0; i < n / 2; ++i) {
      const int row = lane / 32 * 16 + lane % 32 / 4 + (i % 4 >= 2 ? 8 : 0);
      check(lane, i, row, 8 * (i / 4) + 2 * (lane % 4) + i % 2);
    }
  }
}

constexpr float poison = std::numeric_limits<float>::quiet_NaN();

std::uint16_t numbered(int matrix, int row, int column) {
  return static_cast<std::uint16_t>(0x100 * (matrix + 1) + 16 * row + column);
}

}  // namespace

TEST_CASE("matrix math: ldmatrix gives lane 4r + c / 2 the element (r, c), transposed (c, r)") {
  for (const int count : {1, 2, 4}) {
    for (const bool transposed : {false, true}) {
      std::vector<MatrixRow> rows(8 * count);
      for (int i = 0; i < 8 * count; ++i) {
        for (int column = 0; column < 8; ++column) rows[i][column] = numbered(i / 8, i % 8, column);
      }
      MatrixFragments fragments;
      for (auto& lane : fragments) std::fill(std::begin(lane), std::end(lane), 0xdeadbeefu);
      ldmatrix(rows, transposed, fragments);
      for (int lane = 0; lane < warp_lanes; ++lane) {
        for (int i = 0; i < 4; ++i) {
          if (i >= count) {
            CHECK(fragments[lane][i] == 0xdeadbeefu);
            continue;
          }
          for (int half = 0; half < 2; ++half) {
            const int r = lane / 4;
            const int c = lane % 4 * 2 + half;
            CHECK((fragments[lane][i] >> (16 * half) & 0xffffu) == (transposed ? numbered(i, c, r) : numbered(i, r, c)));
          }
        }
      }

      std::vector<MatrixRow> stored(rows.size());
      for (MatrixRow& row : stored) row.fill(0xffff);
      stmatrix(fragments, transposed, stored);
      CHECK(stored == rows);
    }
  }
}

TEST_CASE("matrix math: mma.m16n8k16 is the product of the matrices that the lanes hold") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    HalfMatrix a(16, 16, dtype, 1);
    HalfMatrix b(16, 8, dtype, 2);
    MatrixFragments a_registers;
    MmaB b_registers;
    MmaD d;
    make_a(a, a_registers);
    make_b(b, b_registers);
    for (int lane = 0; lane < warp_lanes; ++lane) {
      for (int i = 0; i < 4; ++i) d[lane][i] = static_cast<float>(10 * lane + i);
    }
    mma_m16n8k16(dtype, a_registers, b_registers, d);
    for (int lane = 0; lane < warp_lanes; ++lane) {
      for (int i = 0; i < 4; ++i) {
        CHECK(d[lane][i] == product(a, b, lane / 4 + (i >= 2 ? 8 : 0), lane % 4 * 2 + i % 2) + 10 * lane + i);
      }
    }
  }
}

TEST_CASE("matrix math: what ldmatrix loads is what mma.m16n8k16 takes") {
  HalfMatrix a(16, 16, DType::fp16, 3);
  std::vector<MatrixRow> rows(32);  // the four 8x8 quarters of A: down, then right
  for (int i = 0; i < 32; ++i) {
    for (int column = 0; column < 8; ++column) rows[i][column] = a.at(i % 16, i / 16 * 8 + column);
  }
  MatrixFragments loaded;
  ldmatrix(rows, false, loaded);
  MatrixFragments expected;
  make_a(a, expected);
  for (int lane = 0; lane < warp_lanes; ++lane) {
    for (int i = 0; i < 4; ++i) CHECK(loaded[lane][i] == expected[lane][i]);
  }
}

TEST_CASE("matrix math: wgmma is the product of its operands for every n") {
  for (int n = 8; n <= wgmma_max_n; n += 8) {
    HalfMatrix a(64, 16, DType::bf16, 4);
    HalfMatrix b(16, n, DType::bf16, 5);
    const std::vector<float> a_operand = k_major(a, false);
    const std::vector<float> b_operand = k_major(b, true);

    Accumulators fresh(n, poison);
    wgmma_m64k16(n, a_operand.data(), b_operand.data(), 1.0f, false, fresh.lanes());
    Accumulators kept(n, 1000.0f);
    wgmma_m64k16(n, a_operand.data(), b_operand.data(), -1.0f, true, kept.lanes());
    int wrong = 0;
    for_each_d(n, [&](int lane, int i, int row, int column) {
      const double expected = product(a, b, row, column);
      wrong += fresh.registers[lane][i] != expected;
      wrong += kept.registers[lane][i] != 1000.0 - expected;
    });
    INFO("n = " << n);
    CHECK(wrong == 0);
  }
}

TEST_CASE("matrix math: A of a wgmma from registers") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    HalfMatrix a(64, 16, dtype, 6);
    WgmmaA registers;
    make_a(a, registers);
    std::vector<float> operand(wgmma_rows * mma_k, poison);
    unpack_wgmma_a(dtype, registers, std::span<float, wgmma_rows * mma_k>(operand));
    CHECK(operand == k_major(a, false));
  }
}

TEST_CASE("matrix math: sums stay within float32's rounding of the true sum") {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> a(wgmma_rows * mma_k), b(wgmma_max_n * mma_k);
  for (float& value : a) value = bf16_to_float(float_to_bf16(normal(random)));
  for (float& value : b) value = bf16_to_float(float_to_bf16(normal(random)));
  Accumulators d(wgmma_max_n, 0.5f);
  wgmma_m64k16(wgmma_max_n, a.data(), b.data(), 1.0f, true, d.lanes());
  double worst = 0;
  for_each_d(wgmma_max_n, [&](int lane, int i, int row, int column) {
    double sum = 0.5;
    double magnitude = 0.5;
    for (int k = 0; k < mma_k; ++k) {
      const double term = static_cast<double>(a[k * wgmma_rows + row]) * b[k * wgmma_max_n + column];
      sum += term;
      magnitude += std::abs(term);
    }
    worst = std::max(worst, std::abs(d.registers[lane][i] - sum) / magnitude);
  });
  CHECK(worst < 17 * 0x1p-24);
}

TEST_CASE("matrix math: infinity and NaN stay with their rows and columns") {
  HalfMatrix a(16, 16, DType::fp16, 8);
  HalfMatrix b(16, 8, DType::fp16, 9);
  for (int k = 0; k < 16; ++k) b.at(k, 3) = from_float(1.0f, DType::fp16);
  a.at(5, 2) = from_float(std::numeric_limits<float>::infinity(), DType::fp16);
  a.at(11, 9) = from_float(poison, DType::fp16);
  MatrixFragments a_registers;
  MmaB b_registers;
  MmaD d = {};
  make_a(a, a_registers);
  make_b(b, b_registers);
  mma_m16n8k16(DType::fp16, a_registers, b_registers, d);
  for (int lane = 0; lane < warp_lanes; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + (i >= 2 ? 8 : 0);
      INFO("row " << row << " lane " << lane);
      CHECK(std::isnan(d[lane][i]) == (row == 11 || (row == 5 && b.value(2, lane % 4 * 2 + i % 2) == 0)));
      if (row != 5 && row != 11) CHECK(std::isfinite(d[lane][i]));
    }
  }
  CHECK(d[4 * 5 + 1][1] == std::numeric_limits<float>::infinity());
}
