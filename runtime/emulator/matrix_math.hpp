// What the tensor-core instructions compute, and which lane holds which element: pure functions on the registers of a warp (32
// lanes) or of a warpgroup (128).
//
// Numerics: a product of two bf16 or two fp16 values is exact in float32 (unless it leaves float32's range, which only bf16 can),
// so that rounding is in the sums alone. Here the 16 products of one instruction are summed in float32 in order of k, and that
// sum is added to the accumulator. A GPU sums in an order and with a rounding of its own: results agree to the rounding of
// float32, not in their bits. NaN and infinity go through as IEEE arithmetic has it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "moe_tune/problem.hpp"

namespace moe_tune::emulator {

inline constexpr int warp_lanes = 32;
inline constexpr int warpgroup_lanes = 128;

inline constexpr int mma_k = 16;       ///< depth of one instruction, of mma and of wgmma
inline constexpr int wgmma_rows = 64;  ///< M of wgmma
inline constexpr int wgmma_max_n = 256;

/// One row of an 8x8 matrix of 16-bit elements, as ldmatrix reads it and stmatrix writes it.
using MatrixRow = std::array<std::uint16_t, 8>;

/// Registers by lane. Two 16-bit elements to a word, the one of the smaller index in the low half.
using MatrixFragments = std::uint32_t[warp_lanes][4];
using MmaB = std::uint32_t[warp_lanes][2];
using MmaD = float[warp_lanes][4];
using WgmmaA = std::uint32_t[warpgroup_lanes][4];

/// `rows` holds one, two or four matrices of eight rows, in the order of the lanes that gave their addresses. fragments[lane][i]
/// becomes the elements of matrix i in row lane / 4 at columns 2 * (lane % 4) and the next; `transposed`: with row and column
/// swapped. Registers past the last matrix keep their values.
void ldmatrix(std::span<const MatrixRow> rows, bool transposed, MatrixFragments& fragments);

/// The inverse of ldmatrix.
void stmatrix(const MatrixFragments& fragments, bool transposed, std::span<MatrixRow> rows);

/// d += A . B of mma.m16n8k16. With g = lane / 4 and t = lane % 4:
///   A (16x16)  a[0] = A[g][2t..], a[1] = A[g + 8][2t..], a[2] = A[g][2t + 8..], a[3] = A[g + 8][2t + 8..]
///   B (16x8)   b[0] = B[2t..][g], b[1] = B[2t + 8..][g]
///   D (16x8)   d[0..1] = D[g][2t..], d[2..3] = D[g + 8][2t..]
void mma_m16n8k16(DType dtype, const MatrixFragments& a, const MmaB& b, MmaD& d);

/// A of a wgmma (64x16) from registers, where warp w holds rows 16w.. as mma.m16n8k16 does. Element (row, k) goes to operand[k *
/// 64 + row].
void unpack_wgmma_a(DType dtype, const WgmmaA& a, std::span<float, wgmma_rows * mma_k> operand);

/// d = sign * A . B, plus d where `keep_d` (the instruction's scale-d; its scale-a and scale-b multiply to `sign`, 1 or -1).
/// Operands are k-major: A[row][k] = a[k * 64 + row], B[k][column] = b[k * n + column]; n is 8, 16, ... 256. d[lane] are the n /
/// 2 accumulators of a lane: with w = lane / 32, g = lane % 32 / 4 and t = lane % 4, d[4j..4j+1] = D[16w + g][8j + 2t..] and
/// d[4j+2..4j+3] = D[16w + g + 8][8j + 2t..]. Without `keep_d` the old values are not read.
void wgmma_m64k16(int n, const float* a, const float* b, float sign, bool keep_d, std::span<float* const, warpgroup_lanes> d);

}  // namespace moe_tune::emulator
