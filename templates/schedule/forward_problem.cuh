// The compile-time half of a forward grouped GEMM (generator/include/moe_tune/problem.hpp says what it computes).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

template <DType Type, int NumExperts, int OutputColumns, int Reduction, int TopK, bool PermuteX, bool PermuteY, bool FuseMulPost,
          bool FuseMulPre, bool FuseSwiglu, bool KeepPreActivation, bool StridedW>
struct ForwardProblem {
  static constexpr DType type = Type;
  static constexpr int E = NumExperts;
  static constexpr int N = OutputColumns;
  static constexpr int K = Reduction;
  static constexpr int top_k = TopK;
  static constexpr bool permute_x = PermuteX;
  static constexpr bool permute_y = PermuteY;
  static constexpr bool fuse_mul_post = FuseMulPost;
  static constexpr bool fuse_mul_pre = FuseMulPre;
  static constexpr bool fuse_swiglu = FuseSwiglu;
  static constexpr bool keep_pre_activation = KeepPreActivation;
  static constexpr bool strided_w = StridedW;  // rows of w lie args.w_row_bytes apart; otherwise K elements
  static_assert(N % 8 == 0 && K % 8 == 0, "rows are moved 16 bytes at a time");
  static_assert(!(PermuteX && PermuteY), "permute_x belongs to the first GEMM of a block, permute_y to the second");
  static_assert(!FuseMulPost || PermuteY, "the weight of a row is found through its slot");
  static_assert(!FuseMulPre || PermuteX, "the weight of a row is found through its slot");
  static_assert(!FuseSwiglu || (N % 16 == 0 && !PermuteY), "gate and up are half of the columns each");
  static_assert(!KeepPreActivation || FuseSwiglu, "without an activation y is all there is");
};

}  // namespace moe_tune
