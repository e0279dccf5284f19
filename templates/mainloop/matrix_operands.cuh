// Operands of the sm80 mainloop that are plain matrices: k-block after k-block, from global memory to a stage of the ring.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Rows lie RowBytes apart, and start 16-byte aligned. What lies past the end of rows or columns counts as zeros and is not read;
// a chunk of 16 bytes is there where its first column is.
#pragma once

#include "mainloop/sm80_multistage.cuh"

namespace moe_tune {

/// A tile of `Rows` rows, whose columns are the reduction.
template <class Config, int Rows, i64 RowBytes>
class TileOperand {
  using Copy = TileCopy<Config, Rows, Config::block_k, RowPattern::consecutive>;

 public:
  /// From `row` on, of which `rows` are there, and from column 0, of `columns`.
  MOE_DEVICE TileOperand(const void* matrix, int row, int rows, int columns)
      : first_(reinterpret_cast<u64>(matrix) + static_cast<u64>((row + Copy::row(0)) * RowBytes + Copy::chunk() * 16)),
        rows_left_(rows),
        columns_left_(columns - Copy::chunk() * 8) {}

  /// Part `Part` of `Parts` of this thread's copies of the current k-block. The operand lies at `address`.
  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 address) const {
    MOE_UNROLL
    for (int i = Part; i < Copy::iterations; i += Parts) {
      if (!Copy::inside(i)) continue;
      ptx::cp_async_16<0>(Copy::address(address + Copy::first_offset(), i),
                          first_ + static_cast<u64>(i * Copy::row_step * RowBytes),
                          columns_left_ > 0 && Copy::row(i) < rows_left_);
    }
  }

  MOE_DEVICE void advance() {
    first_ += Config::block_k * 2;
    columns_left_ -= Config::block_k;
  }

 private:
  u64 first_;  // this thread's chunk of its first row
  const int rows_left_;
  int columns_left_;  // from this thread's chunk of the k-block on
};

/// A tile of `Columns` columns, whose rows are the reduction.
template <class Config, int Columns, i64 RowBytes>
class SlabOperand {
  using Copy = SlabCopy<Config, Columns>;

 public:
  /// From `row` on, of which `rows` are there, and from `column` on, of which `columns` are there.
  MOE_DEVICE SlabOperand(const void* matrix, int row, int rows, int column, int columns)
      : first_(reinterpret_cast<u64>(matrix) +
               static_cast<u64>((row + Copy::first_k_row()) * RowBytes + (column + Copy::first_column()) * 2)),
        rows_left_(rows - Copy::first_k_row()),
        columns_left_(columns - Copy::first_column()) {}

  /// Part `Part` of `Parts` of this thread's copies of the current k-block. The operand lies at `address`.
  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 address) const {
    MOE_UNROLL
    for (int i = Part; i < Copy::iterations; i += Parts) {
      if (!Copy::inside(i)) continue;
      ptx::cp_async_16<0>(Copy::address(address + Copy::first_offset(), i),
                          first_ + static_cast<u64>(Copy::k_row(i) * RowBytes + Copy::column(i) * 2),
                          Copy::k_row(i) < rows_left_ && Copy::column(i) < columns_left_);
    }
  }

  MOE_DEVICE void advance() {
    first_ += static_cast<u64>(Config::block_k * RowBytes);
    rows_left_ -= Config::block_k;
  }

 private:
  u64 first_;      // this thread's chunk of its first row of the k-block
  int rows_left_;  // from that row on
  const int columns_left_;
};

/// The copies of one tile: the producer of an Sm80Pipeline. `A` and `B` are operands.
template <class Config, class A, class B>
class MatrixProducer {
 public:
  MOE_DEVICE MatrixProducer(const A& a, const B& b) : a_(a), b_(b) {}

  template <int Part, int Parts>
  MOE_DEVICE void copy(u32 stage_address) const {
    a_.template copy<Part, Parts>(stage_address);
    b_.template copy<Part, Parts>(stage_address + Config::a_stage_bytes);
  }

  MOE_DEVICE void advance() {
    a_.advance();
    b_.advance();
  }

 private:
  A a_;
  B b_;
};

}  // namespace moe_tune
