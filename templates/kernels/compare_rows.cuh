// Compares an output with the float32 reference, row by row: a norm over the whole output would hide a dead expert.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Two passes, a warp per row. The first walks the rows in expert order, judges the row of y that each is stored in and marks it
// as defined; the second checks that rows without a mark still hold the poison.
#pragma once

#include "kernels/find_rows.cuh"
#include "ptx/numeric.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

template <DType Type>
struct CompareRows {
  static MOE_DEVICE void judge_defined(const abi::ComparisonArgs& args) {
    const int row = this_row();
    if (row >= args.gemm.M) return;
    const int expert = expert_of_row(args.shape, args.gemm, row);
    const int stored = expert < 0 ? -1 : output_row(args.shape, args.gemm, row);
    if (stored < 0) return;
    if (ptx::lane_index() == 0) ptx::store(args.defined + stored, static_cast<unsigned char>(1));
    judge(args, row_of_y(args, stored), stored, expert);
  }

  /// Of dW: every row of every expert is defined.
  static MOE_DEVICE void judge_weights(const abi::ComparisonArgs& args) {
    const int row = this_row();
    const int expert = row / args.shape.N;
    if (expert >= args.shape.E) return;
    const char* weight = static_cast<const char*>(args.gemm.w) + expert * args.gemm.w_expert_bytes;
    const char* y = row_address(weight, row % args.shape.N, args.gemm.w_row_bytes);
    if (args.float32) {
      judge(args, reinterpret_cast<const float*>(y), row, expert);
    } else {
      judge(args, reinterpret_cast<const u16*>(y), row, expert);
    }
  }

  static MOE_DEVICE void judge_undefined(const abi::ComparisonArgs& args) {
    const int row = this_row();
    if (row >= args.gemm.M || ptx::load(args.defined + row)) return;
    const u16* y = row_of_y(args, row);
    float touched = 0.0f;
    for (int column = static_cast<int>(ptx::lane_index()); column < args.columns; column += 32) {
      if (ptx::load_constant(y + column) != 0xffff) touched = 1.0f;
    }
    MOE_UNROLL
    for (u32 mask = 16; mask > 0; mask /= 2) touched += ptx::shuffle_xor(touched, mask);
    if (touched == 0.0f || ptx::lane_index() != 0) return;
    ptx::atomic_max(&args.result->row_error, infinity);
    ptx::atomic_max(&args.result->element_error, infinity);
    count_bad_row(args, row);
  }

 private:
  static constexpr u32 infinity = 0x7f800000u;
  /// rounding_of_subnormals() of runtime/reference/comparison.hpp; that of bf16 is lost in float32.
  static constexpr float subnormal = Type == DType::bf16 ? 0.0f : 0x1p-25f;

  static MOE_DEVICE float value(u16 bits) { return ptx::unpack<Type>(bits); }
  static MOE_DEVICE float value(float number) { return number; }
  static MOE_DEVICE float rounding(u16) { return subnormal; }
  static MOE_DEVICE float rounding(float) { return 0.0f; }

  static MOE_DEVICE int this_row() {
    return static_cast<int>(ptx::block_index() * abi::compare_warps + ptx::thread_index() / 32);
  }

  /// Compares a row of the output with row `row` of the reference.
  template <class Element>
  static MOE_DEVICE void judge(const abi::ComparisonArgs& args, const Element* y, int row, int expert) {
    float difference = 0.0f;  // sums of squares over the row
    float reference = 0.0f;
    float largest = 0.0f;
    for (int column = static_cast<int>(ptx::lane_index()); column < args.columns; column += 32) {
      const float expected = ptx::load_constant(args.reference + static_cast<i64>(row) * args.columns + column);
      const Element element = ptx::load_constant(y + column);
      float error = value(element) - expected;
      error = (error < 0.0f ? -error : error) - rounding(element);
      if (error < 0.0f) error = 0.0f;  // a NaN stays
      difference += error * error;
      reference += expected * expected;
      if (error * error > largest) largest = error * error;
    }
    MOE_UNROLL
    for (u32 mask = 16; mask > 0; mask /= 2) {
      difference += ptx::shuffle_xor(difference, mask);
      reference += ptx::shuffle_xor(reference, mask);
      const float other = ptx::shuffle_xor(largest, mask);
      if (other > largest) largest = other;
    }
    if (ptx::lane_index() != 0) return;
    // A NaN anywhere is a NaN in the difference, which makes both errors infinite; so does any error against an all-zero row.
    const bool exact = difference == 0.0f;
    const u32 row_error = exact ? 0u : error_bits(difference / reference);
    const bool finite = row_error != infinity;
    const u32 element_error = exact ? 0u : finite ? error_bits(largest * static_cast<float>(args.columns) / reference) : infinity;
    ptx::atomic_max(&args.result->row_error, row_error);
    ptx::atomic_max(&args.result->element_error, element_error);
    ptx::atomic_max(args.expert_error + expert, row_error);
    if (row_error > ptx::float_bits(args.tolerance_squared)) count_bad_row(args, row);
  }

  static MOE_DEVICE const u16* row_of_y(const abi::ComparisonArgs& args, int row) {
    return reinterpret_cast<const u16*>(row_address(args.gemm.y, row, args.gemm.y_row_bytes));
  }

  static MOE_DEVICE u32 error_bits(float value) { return value == value ? ptx::float_bits(value) : infinity; }

  static MOE_DEVICE void count_bad_row(const abi::ComparisonArgs& args, int row) {
    ptx::atomic_add(&args.result->bad_rows, 1u);
    ptx::atomic_max(&args.result->first_bad_row, 0xffffffffu - static_cast<u32>(row));
  }
};

}  // namespace moe_tune
