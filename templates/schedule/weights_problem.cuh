// The compile-time half of the gradient of weights: dW[e] = the sum over the rows r of expert e of dY[r, :]^T . X[r, :].
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

template <DType Type, int NumExperts, int WeightRows, int WeightColumns, int SlotsPerRow, bool GatherX, bool GatherY,
          bool Float32Dw, bool Accumulate>
struct WeightsProblem {
  static constexpr DType type = Type;
  static constexpr int E = NumExperts;
  static constexpr int N = WeightRows;               // columns of dY
  static constexpr int K = WeightColumns;            // columns of X
  static constexpr int slots_per_row = SlotsPerRow;  // slot / slots_per_row is the row that is gathered
  static constexpr bool gather_x = GatherX;          // X lies by token, not in expert order
  static constexpr bool gather_y = GatherY;          // dY lies by slot
  static constexpr bool float32_dw = Float32Dw;      // dW is float32; else it has the type of the operands
  static constexpr bool accumulate = Accumulate;     // the sum is added to dW; else it replaces it
  static_assert(N % 8 == 0 && K % 8 == 0, "rows are moved 16 bytes at a time");
  static_assert(!(GatherX && GatherY), "one of a block's two GEMMs gathers rows, the other scatters them");
};

}  // namespace moe_tune
