// How an operand of wgmma lies in a stage of the ring of the sm90 family: `Size` of its M or N side, a k-block of its other one.
// archs: sm_90a
//
//     KLines     [k 0-63: a line for each of Size][k 64-127: the same] ...     rows: X, of dX dY; W of forward
//     SideLines  [side 0-63: a line for each of BLOCK_K][side 64-127: ...] ...  W of dX; both operands of dW
//
// Both are what TMA boxes of 64 elements by as many lines leave there (mainloop/side_boxes.cuh). The tensor cores read either: a
// descriptor says which.
#pragma once

#include "mainloop/sm90_config.cuh"
#include "ptx/wgmma.cuh"

namespace moe_tune {

/// Lines of 64 along K.
template <int Size, int BlockK>
struct KLines {
  static constexpr ptx::Major major = ptx::Major::k;
  static constexpr u32 part_bytes = Size * sm90_row_bytes;  // of 64 of K

  static MOE_DEVICE u64 descriptor(u32 address) {
    return ptx::matrix_descriptor<ptx::SwizzleMode::b128>(address, 0, 8 * sm90_row_bytes);
  }
  /// Where block `block` of 64 of the side begins.
  static MOE_DEVICE constexpr u32 block_offset(int block) { return static_cast<u32>(block) * 64 * sm90_row_bytes; }
  /// Where step `step` of 16 of K begins.
  static MOE_DEVICE constexpr u32 step_offset(int step) {
    return static_cast<u32>(step / 4) * part_bytes + static_cast<u32>(step % 4) * 32;
  }
};

/// Lines of 64 along the M or N side.
template <int Size, int BlockK>
struct SideLines {
  static constexpr ptx::Major major = ptx::Major::mn;
  static constexpr u32 part_bytes = BlockK * sm90_row_bytes;  // of 64 of the side
  static_assert(Size % 64 == 0);

  static MOE_DEVICE u64 descriptor(u32 address) {
    return ptx::matrix_descriptor<ptx::SwizzleMode::b128>(address, part_bytes, 8 * sm90_row_bytes);
  }
  static MOE_DEVICE constexpr u32 block_offset(int block) { return static_cast<u32>(block) * part_bytes; }
  static MOE_DEVICE constexpr u32 step_offset(int step) { return static_cast<u32>(step) * 16 * sm90_row_bytes; }
};

template <bool RowsAreK, int Size, int BlockK>
struct WeightLines {
  using Type = KLines<Size, BlockK>;
};
template <int Size, int BlockK>
struct WeightLines<true, Size, BlockK> {
  using Type = SideLines<Size, BlockK>;
};

/// The MMA's operands of token rows with weights.
template <class Problem, class Config, bool Swapped = Config::swapped>
struct RowsOperands {
  static constexpr DType type = Problem::type;
  using A = KLines<Config::block_m, Config::block_k>;
  using B = typename WeightLines<Problem::weight_rows_are_k, Config::block_n, Config::block_k>::Type;
  static constexpr u32 a_offset = Config::x_offset;  // in a stage
  static constexpr u32 b_offset = 0;
  static constexpr bool pairs = false;
};
template <class Problem, class Config>
struct RowsOperands<Problem, Config, true> {
  static constexpr DType type = Problem::type;
  using A = typename WeightLines<Problem::weight_rows_are_k, Config::block_n, Config::block_k>::Type;
  using B = KLines<Config::block_m, Config::block_k>;
  static constexpr u32 a_offset = 0;
  static constexpr u32 b_offset = Config::x_offset;
  static constexpr bool pairs = Problem::fuse_swiglu;  // of gate and up blocks
};

/// Of rows of dY with rows of X: the sum runs over the rows.
template <class Problem, class Config>
struct WeightOperands {
  static constexpr DType type = Problem::type;
  using A = SideLines<Config::block_m, Config::block_k>;
  using B = SideLines<Config::block_n, Config::block_k>;
  static constexpr u32 a_offset = Config::x_offset;
  static constexpr u32 b_offset = 0;
  static constexpr bool pairs = false;
};

}  // namespace moe_tune
