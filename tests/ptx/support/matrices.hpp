// Matrices that micro-tests multiply.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include "tests/ptx/support/halves.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

/// Row-major.
struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;

  double& at(std::size_t row, std::size_t column) { return values[row * columns + column]; }
  double at(std::size_t row, std::size_t column) const { return values[row * columns + column]; }
};

/// Integers from -8 to 8: products and sums of a few thousand are exact in float32, in any order.
inline Matrix random_integers(std::size_t rows, std::size_t columns, std::uint32_t seed) {
  std::mt19937 random(seed);
  Matrix matrix{rows, columns, std::vector<double>(rows * columns)};
  for (double& value : matrix.values) value = static_cast<int>(random() % 17) - 8;
  return matrix;
}

/// Values of `format` between -2 and 2.
inline Matrix random_reals(const HalfFormat& format, std::size_t rows, std::size_t columns, std::uint32_t seed) {
  std::mt19937 random(seed);
  Matrix matrix{rows, columns, std::vector<double>(rows * columns)};
  for (double& value : matrix.values) value = from_half(format, to_half(format, static_cast<double>(random()) * 0x1p-30 - 2));
  return matrix;
}

/// d + sign * a . b in double.
inline Matrix product(const Matrix& a, const Matrix& b, const Matrix& d, double sign = 1) {
  Matrix out = d;
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < b.columns; ++j) {
      for (std::size_t k = 0; k < a.columns; ++k) out.at(i, j) += sign * a.at(i, k) * b.at(k, j);
    }
  }
  return out;
}

/// Two neighbours in a register: the one at (row, column) in the low half, the next along the row, or along the column, above it.
inline std::uint32_t pair_along_row(const HalfFormat& format, const Matrix& matrix, std::size_t row, std::size_t column) {
  return to_half(format, matrix.at(row, column)) | std::uint32_t{to_half(format, matrix.at(row, column + 1))} << 16;
}
inline std::uint32_t pair_along_column(const HalfFormat& format, const Matrix& matrix, std::size_t row, std::size_t column) {
  return to_half(format, matrix.at(row, column)) | std::uint32_t{to_half(format, matrix.at(row + 1, column))} << 16;
}

}  // namespace moe_tune::test
