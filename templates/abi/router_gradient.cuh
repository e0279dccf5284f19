// The arguments of a router's gradient (kernels/router_gradient.cuh) and its launch shapes, shared with host code.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"

namespace moe_tune::abi {

/// Of every kernel.
inline constexpr int router_gradient_threads = 256;
/// Tokens of a block: one to a warp where d_logits are made, a tile of d_hidden_states.
inline constexpr int router_gradient_block_tokens = 8;
inline constexpr int router_gradient_tile_tokens = 128;
/// Columns of H of a tile of d_hidden_states and of d_weight.
inline constexpr int router_gradient_tile_columns = 128;
/// Elements of d_weight of a block that adds up partial sums.
inline constexpr int router_gradient_sum_elements = 4 * router_gradient_threads;

/// Passed by value. runtime/include/moe_tune/router_gradient.hpp says what the tensors hold.
struct RouterGradientArgs {
  const void* hidden_states;    // (tokens, H)
  const void* weight;           // (E, H)
  const void* router_logits;    // (tokens, E)
  const int* selected_experts;  // (tokens, top_k)
  const float* d_topk_weights;  // (tokens, top_k)
  const void* d_router_logits;  // (tokens, E); null: none
  void* d_hidden_states;        // (tokens, H); null: not wanted
  void* d_weight;               // (E, H), the storage dtype or float32; null: not wanted
  void* d_logits;               // (tokens, E rounded up to 8), the columns past E 0
  float* d_weight_sums;         // (splits, E, H), each of split_tokens tokens
  const int* token_count;       // null: all tokens are there
  unsigned* status;             // status bits, host-mapped
  int tokens;
  int split_tokens;      // at least 1
  int accumulate;        // d_weight is added to what stands there
  int d_weight_float32;  // d_weight is float32
};

}  // namespace moe_tune::abi
