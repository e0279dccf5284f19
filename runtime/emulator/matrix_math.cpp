#include "runtime/emulator/matrix_math.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "runtime/reference/half.hpp"

// These loops are most of what an emulated kernel costs. Compiled for both kinds of host, they run three times as fast where
// there is AVX2. Not under the thread sanitizer: the choice is made while the program is linked, before the sanitizer is ready.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define MOE_TUNE_VECTORISED [[gnu::target_clones("avx2", "default")]]
#else
#define MOE_TUNE_VECTORISED
#endif

namespace moe_tune::emulator {

namespace {

constexpr int lane_columns = 8;  // of D, that four lanes hold together
constexpr int rows_at_once = 4;  // as many sums as fit the registers of any host

/// Eight columns of a row; the compiler splits it where the host's registers are smaller.
using Columns [[gnu::vector_size(lane_columns * sizeof(float))]] = float;

/// sum[i] = A[i][.] . B[.][0..7] over 16 k, for four rows of A. a[k * a_stride + i], b[k * b_stride + column].
[[gnu::always_inline]] inline void multiply(const float* a, int a_stride, const float* b, int b_stride,
                                            Columns (&sum)[rows_at_once]) {
  for (Columns& row : sum) row = Columns{};
  for (int k = 0; k < mma_k; ++k) {
    Columns b_row;
    std::memcpy(&b_row, b + k * b_stride, sizeof b_row);
    for (int i = 0; i < rows_at_once; ++i) sum[i] += a[k * a_stride + i] * b_row;
  }
}

std::uint16_t half_of(std::uint32_t word, int index) { return static_cast<std::uint16_t>(index ? word >> 16 : word); }

/// The A fragments of one warp: element (row, k) goes to operand[k * stride + row].
template <float (*Widen)(std::uint16_t)>
[[gnu::always_inline]] inline void unpack_a(const std::uint32_t (*a)[4], int stride, float* operand) {
  for (int lane = 0; lane < warp_lanes; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i % 2);
      const int k = 2 * (lane % 4) + 8 * (i / 2);
      operand[k * stride + row] = Widen(half_of(a[lane][i], 0));
      operand[(k + 1) * stride + row] = Widen(half_of(a[lane][i], 1));
    }
  }
}

template <float (*Widen)(std::uint16_t)>
[[gnu::always_inline]] inline void unpack_b(const MmaB& b, float* operand) {
  for (int lane = 0; lane < warp_lanes; ++lane) {
    for (int i = 0; i < 2; ++i) {
      const int k = 2 * (lane % 4) + 8 * i;
      operand[k * lane_columns + lane / 4] = Widen(half_of(b[lane][i], 0));
      operand[(k + 1) * lane_columns + lane / 4] = Widen(half_of(b[lane][i], 1));
    }
  }
}

template <float (*Widen)(std::uint16_t)>
[[gnu::always_inline]] inline void mma(const MatrixFragments& a, const MmaB& b, MmaD& d) {
  constexpr int rows = 16;
  float a_values[mma_k * rows];
  float b_values[mma_k * lane_columns];
  unpack_a<Widen>(a, rows, a_values);
  unpack_b<Widen>(b, b_values);
  for (int row = 0; row < rows; row += rows_at_once) {
    Columns sum[rows_at_once];
    multiply(a_values + row, rows, b_values, lane_columns, sum);
    for (int i = 0; i < rows_at_once; ++i) {
      const int g = (row + i) % 8;
      const int first = (row + i) / 8 * 2;
      for (int column = 0; column < lane_columns; ++column) d[4 * g + column / 2][first + column % 2] += sum[i][column];
    }
  }
}

}  // namespace

void ldmatrix(std::span<const MatrixRow> rows, bool transposed, MatrixFragments& fragments) {
  for (int lane = 0; lane < warp_lanes; ++lane) {
    const int row = lane / 4;
    const int column = lane % 4 * 2;
    for (std::size_t i = 0; i < rows.size() / 8; ++i) {
      const MatrixRow* matrix = &rows[8 * i];
      const std::uint32_t low = transposed ? matrix[column][row] : matrix[row][column];
      const std::uint32_t high = transposed ? matrix[column + 1][row] : matrix[row][column + 1];
      fragments[lane][i] = low | high << 16;
    }
  }
}

void stmatrix(const MatrixFragments& fragments, bool transposed, std::span<MatrixRow> rows) {
  for (int lane = 0; lane < warp_lanes; ++lane) {
    const int row = lane / 4;
    const int column = lane % 4 * 2;
    for (std::size_t i = 0; i < rows.size() / 8; ++i) {
      MatrixRow* matrix = &rows[8 * i];
      (transposed ? matrix[column][row] : matrix[row][column]) = half_of(fragments[lane][i], 0);
      (transposed ? matrix[column + 1][row] : matrix[row][column + 1]) = half_of(fragments[lane][i], 1);
    }
  }
}

MOE_TUNE_VECTORISED
void mma_m16n8k16(DType dtype, const MatrixFragments& a, const MmaB& b, MmaD& d) {
  if (dtype == DType::bf16) {
    mma<bf16_to_float>(a, b, d);
  } else {
    mma<fp16_to_float>(a, b, d);
  }
}

void unpack_wgmma_a(DType dtype, const WgmmaA& a, std::span<float, wgmma_rows * mma_k> operand) {
  for (int warp = 0; warp < warpgroup_lanes / warp_lanes; ++warp) {
    const std::uint32_t(*registers)[4] = &a[warp * warp_lanes];
    if (dtype == DType::bf16) {
      unpack_a<bf16_to_float>(registers, wgmma_rows, operand.data() + 16 * warp);
    } else {
      unpack_a<fp16_to_float>(registers, wgmma_rows, operand.data() + 16 * warp);
    }
  }
}

MOE_TUNE_VECTORISED
void wgmma_m64k16(int n, const float* a, const float* b, float sign, bool keep_d, std::span<float* const, warpgroup_lanes> d) {
  float signed_a[wgmma_rows * mma_k];
  std::transform(a, a + wgmma_rows * mma_k, signed_a, [sign](float value) { return sign * value; });
  for (int row = 0; row < wgmma_rows; row += rows_at_once) {
    for (int column = 0; column < n; column += lane_columns) {
      Columns sum[rows_at_once];
      multiply(signed_a + row, wgmma_rows, b + column, n, sum);
      for (int i = 0; i < rows_at_once; ++i) {
        const int first_lane = (row + i) / 16 * warp_lanes + (row + i) % 8 * 4;
        const int first = column / 2 + (row + i) % 16 / 8 * 2;
        for (int t = 0; t < 4; ++t) {
          float* pair = d[first_lane + t] + first;
          pair[0] = sum[i][2 * t] + (keep_d ? pair[0] : 0.0f);
          pair[1] = sum[i][2 * t + 1] + (keep_d ? pair[1] : 0.0f);
        }
      }
    }
  }
}

}  // namespace moe_tune::emulator
