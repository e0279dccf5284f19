// The backward of the MoE blocks on the CPU, in float64: what gradients are judged by.
#pragma once

#include <vector>

#include "runtime/reference/moe_block.hpp"

namespace moe_tune {

/// Gradients of the sum over d_out * out + d_router_logits * router_logits; nothing is rounded. A local expert without rows has a
/// zero gradient. M, R, L and S as for the forward. With a range of experts they are a process's share: the shares of processes
/// that have all experts between them, one of them the shared expert and d_router_logits, add up to the whole.
struct MoeBlockGradient {
  std::vector<double> d_hidden_states;        ///< (tokens, H)
  std::vector<double> d_gate;                 ///< (E, H)
  std::vector<double> d_gate_up_proj;         ///< (L, 2I, H)
  std::vector<double> d_down_proj;            ///< (L, H, I)
  std::vector<double> d_shared_gate_up_proj;  ///< (2S, H); the two are empty without a shared expert
  std::vector<double> d_shared_down_proj;     ///< (H, S)
  std::vector<double> d_topk_weights;         ///< (M) by slot; 0 where a slot has no row
  std::vector<double> d_router_logits;        ///< (tokens, E) through the weights of the chosen experts, plus what came in
  std::vector<double> d_second_gemm;          ///< (R, H)
  std::vector<double> d_intermediate;         ///< (R, I)
  std::vector<double> d_first_gemm;           ///< (R, 2I)
};

/// `inputs` as of the forward; rounding is ignored, and score_order makes no difference. The selection carries no gradient.
/// d_out (tokens, H) and d_router_logits (tokens, E) are of inputs.dtype; the second may be null: zeros.
MoeBlockGradient reference_moe_block_gradient(const MoeBlockInputs& inputs, const void* d_out,
                                              const void* d_router_logits = nullptr);

}  // namespace moe_tune
