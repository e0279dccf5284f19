// The arguments of a router's kernels (kernels/router.cuh) and their launch shapes, shared with host code.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"

namespace moe_tune::abi {

/// Tokens of a tile of logits where there are many, and where there are few; experts of the latter.
inline constexpr int router_tile_tokens = 64;
inline constexpr int router_few_tokens = 16;
inline constexpr int router_few_experts = 8;
inline constexpr int router_few_threads = 512;

/// Of the kernels that select and sort; warps take tokens in turn.
inline constexpr int router_threads = 512;
/// Tokens whose slots a block has in shared memory at a time. As many are served by one block.
inline constexpr int router_chunk_tokens = 128;
/// Tokens of a block where there are more, and the most blocks, after which blocks get more tokens: each reads the counts of all.
inline constexpr int router_block_tokens = 64;
inline constexpr int router_most_blocks = 256;

/// Passed by value. M = tokens * top_k; L local experts. runtime/include/moe_tune/router.hpp says what the tensors hold.
struct RouterArgs {
  const void* hidden_states;  // (tokens, H)
  const void* weight;         // (E, H)
  void* router_logits;        // (tokens, E)
  int* selected_experts;      // (tokens, top_k)
  void* topk_weights;         // (tokens, top_k)
  int* m_sizes;               // (L)
  int* gather_indices;        // (M)
  int* slot_rows;             // (M)
  const int* token_count;     // null: all tokens are there
  int* routed_tokens;         // null: not wanted
  int* histograms;            // (blocks, L) slots of each expert, where there are several blocks
  unsigned* status;           // status bits, host-mapped
  int tokens;
  int inject;  // selected_experts is read
};

}  // namespace moe_tune::abi
