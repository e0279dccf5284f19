// The compile-time half of a router.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

enum class RouterKind {
  softmax,            // over all experts
  softmax_norm_topk,  // the chosen weights divided by their sum
  sigmoid,
};

template <RouterKind Kind, DType Type, int NumExperts, int Columns, int TopK, int FirstExpert, int LocalExperts>
struct RouterProblem {
  static constexpr RouterKind kind = Kind;
  static constexpr DType type = Type;
  static constexpr int E = NumExperts;
  static constexpr int H = Columns;
  static constexpr int top_k = TopK;
  static constexpr int first_expert = FirstExpert;
  static constexpr int local_experts = LocalExperts;  // L
  static_assert(0 < E && E <= 512 && 0 < TopK && TopK <= 16 && TopK <= E, "a lane has a choice, and a thread a local expert");
  static_assert(H % 8 == 0, "rows are moved 16 bytes at a time");
  static_assert(0 <= FirstExpert && 0 < LocalExperts && FirstExpert + LocalExperts <= E);
};

}  // namespace moe_tune
