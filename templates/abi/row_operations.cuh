// The arguments of the row operations (kernels/row_operations.cuh), shared with host code.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"

namespace moe_tune::abi {

// Launch shapes that the kernels are compiled for; grids are at most as many blocks as all SMs hold.
inline constexpr int row_operation_threads = 256;
inline constexpr int permute_blocks_per_sm = 2;
inline constexpr int spread_blocks_per_sm = 4;
inline constexpr int activate_blocks_per_sm = 4;
inline constexpr int combine_blocks_per_sm = 4;
inline constexpr int swiglu_blocks_per_sm = 4;

// What warps take in turn: columns of a row, several pieces of which are the work of several warps.
inline constexpr int spread_columns = 512;
inline constexpr int activate_columns = 512;
inline constexpr int combine_columns = 256;

/// Slots of a row of x that is stored by slot_rows: a lane of a warp each.
inline constexpr int most_spread_slots = 32;

/// Of `gemm` count x, y (M, columns), M, status, gather_indices, m_sizes, which null counts as one expert with M rows, and
/// topk_weights, which null means rows are copied as they are. With slot_rows gather_indices and m_sizes are null.
struct PermuteRowsArgs {
  GroupedGemmArgs gemm;
  const int* slot_rows;  // (M), or null
  int E;
  int columns;
  int slots_per_row;
};

/// Of `gemm` count x (M, columns), y (M, columns) by slot, M, status, gather_indices and m_sizes as above.
struct UnpermuteRowsArgs {
  GroupedGemmArgs gemm;
  int E;
  int columns;
};

/// Of `gemm` count x (M, 2 columns), y (M, columns), M, status and m_sizes as above.
struct ActAndMulArgs {
  GroupedGemmArgs gemm;
  int E;
  int columns;  // of y
};

/// Of `gemm` count x (M, columns), y (tokens, columns), M = tokens * top_k, status and topk_weights, which null counts as ones.
struct CombineRowsArgs {
  GroupedGemmArgs gemm;
  const void* addend;      // (tokens, columns), or null
  const int* slot_rows;    // (M), or null: every slot has a row
  const int* token_count;  // null: all tokens
  int addend_row_bytes;
  int expert_order;  // x is in expert order: slot s has row slot_rows[s]; otherwise s
  int tokens;
  int top_k;
  int columns;
};

/// Of `gemm` count x (d_activation), y (d_pre_activation), pre_activation, M, status, m_sizes as above, gather_indices, which
/// null counts as 0, 1, ..., and topk_weights, which null counts as ones.
struct SwigluGradientArgs {
  GroupedGemmArgs gemm;
  void* activation;      // (M, columns), or null
  void* d_topk_weights;  // (M) by slot, or null
  int activation_row_bytes;
  int d_topk_weights_f32;  // float32, else the storage dtype
  int scaled_input;        // the weights are in pre_activation; topk_weights is null
  int E;
  int columns;  // of d_activation; half of pre_activation's
};

}  // namespace moe_tune::abi
