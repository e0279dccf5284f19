// Loads of SideLines (mainloop/sm90_operand.cuh): columns side by side in memory, by 64 below each other in a stage.
// archs: sm_90a
//
// A box costs the TMA unit time of its own: two boxes of 8 KB in a k-block instead of one of 16 KB cost dX a fifth of its
// cycles (docs/KERNELS.md). So where the columns are a multiple of 64, the map has parts of 64 of them as a dimension
// (runtime/launch/side_boxes.hpp), and one box has all of an operand's k-block.
#pragma once

#include "mainloop/sm90_operand.cuh"
#include "ptx/tma.cuh"

namespace moe_tune {

/// Of a tensor with `Columns` columns: `Size` columns from a multiple of 64 on.
template <int Columns, int Size, int BlockK>
class SideBoxes {
  using Lines = SideLines<Size, BlockK>;
  static constexpr bool one_box = Columns % 64 == 0;

 public:
  /// What load() brings from `column` on.
  static MOE_DEVICE u32 bytes(int column) {
    return static_cast<u32>(one_box ? Size / 64 : parts_within(column)) * Lines::part_bytes;
  }

  /// Rows from `row` on of matrix `matrix`, by one thread. `policy`: nothing or a cache policy.
  template <class... Policy>
  static MOE_DEVICE void load(u32 target, const abi::TensorMap* map, u32 full, int column, int row, int matrix,
                              Policy... policy) {
    if constexpr (one_box) {
      ptx::tma_load_4d(target, map, full, 0, row, column / 64, matrix, policy...);
    } else {
      const int parts = parts_within(column);
      for (int part = 0; part < parts; ++part) {
        ptx::tma_load_3d(target + static_cast<u32>(part) * Lines::part_bytes, map, full, column + part * 64, row, matrix,
                         policy...);
      }
    }
  }

 private:
  /// The parts behind the last column are not loaded: a box that is wholly outside its tensor can fault. What they hold is
  /// multiplied, to products that nobody stores.
  static MOE_DEVICE int parts_within(int column) {
    const int left = (Columns - column + 63) / 64;
    return left < Size / 64 ? left : Size / 64;
  }
};

}  // namespace moe_tune
