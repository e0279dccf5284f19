// The compile-time half of a GEMM of token rows with their experts' weights: C[dst(r), :] = A[src(r), :] . B[e].
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
//               A    N             K             B[e]                                           rows
//     forward   X    rows of W[e]  columns       W[e]^T, as it lies: N rows of K (transposed)   gathered by token, or scattered
//     dX        dY   columns       rows of W[e]  W[e],   as it lies: K rows of N                scattered, or gathered by slot
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

template <DType Type, int NumExperts, int OutputColumns, int Reduction, bool WeightRowsAreK, int SlotsPerRow, bool GatherRows,
          bool ScatterRows, bool FuseMulPost, bool FuseMulPre, bool FuseSwiglu, bool KeepPreActivation, bool StridedW>
struct RowsProblem {
  static constexpr DType type = Type;
  static constexpr int E = NumExperts;
  static constexpr int N = OutputColumns;
  static constexpr int K = Reduction;
  static constexpr bool weight_rows_are_k = WeightRowsAreK;  // a row of W[e] has N elements; otherwise K
  static constexpr int slots_per_row = SlotsPerRow;          // slot / slots_per_row is the row of A that is gathered
  static constexpr bool gather_rows = GatherRows;
  static constexpr bool scatter_rows = ScatterRows;
  static constexpr bool fuse_mul_post = FuseMulPost;
  static constexpr bool fuse_mul_pre = FuseMulPre;
  static constexpr bool fuse_swiglu = FuseSwiglu;
  static constexpr bool keep_pre_activation = KeepPreActivation;
  static constexpr bool strided_w = StridedW;  // rows of w lie args.w_row_bytes apart; otherwise they are contiguous
  static_assert(N % 8 == 0 && K % 8 == 0, "rows are moved 16 bytes at a time");
  static_assert(!(GatherRows && ScatterRows), "a block gathers the rows of one of its GEMMs and scatters those of the other");
  static_assert(!FuseMulPost || ScatterRows, "the weight of a row is found through its slot");
  static_assert(!FuseMulPre || GatherRows, "the weight of a row is found through its slot");
  static_assert(!FuseSwiglu || (N % 16 == 0 && !ScatterRows), "gate and up are half of the columns each");
  static_assert(!KeepPreActivation || FuseSwiglu, "without an activation y is all there is");
  static_assert(!WeightRowsAreK || !FuseSwiglu, "SwiGLU ends a forward GEMM");
};

}  // namespace moe_tune
