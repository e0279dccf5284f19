// The arguments of the utility kernels (kernels/utilities.cuh), shared with host code.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"

namespace moe_tune::abi {

// Launch shapes that the kernels are compiled for.
inline constexpr int fill_threads = 256;
inline constexpr int fill_values = 8;  // that a thread stores at once
inline constexpr int reference_threads = 128;
inline constexpr int reference_rows = 8;  // of one expert per block: of y, or of its dW
inline constexpr int compare_warps = 8;   // rows per block
inline constexpr int stream_threads = 256;
inline constexpr int stream_blocks_per_sm = 4;
inline constexpr int mma_threads = 256;
inline constexpr int mma_per_iteration = 32;  // per warp

/// The half of a problem that a measured kernel has compiled in (schedule/rows_problem.cuh). Utility kernels are compiled once
/// for all problems.
struct RowsShape {
  int E;
  int N;
  int K;
  int weight_rows_are_k;
  int slots_per_row;
  int gather_rows;
  int scatter_rows;
  int fuse_mul_post;
  int fuse_mul_pre;
  int fuse_swiglu;
};

/// The same of a gradient of weights (schedule/weights_problem.cuh).
struct WeightsShape {
  int E;
  int N;
  int K;
  int slots_per_row;
  int gather_x;
  int gather_y;
  int float32_dw;
  int accumulate;
};

/// What a comparison finds. Errors are squares of non-negative floats as bits, which order like the floats; NaN is kept as
/// infinity. E words follow: the largest squared row error of each expert.
struct ComparisonWords {
  unsigned bad_rows;
  unsigned first_bad_row;  // 0xffffffff - row, so that a maximum finds the smallest row; 0: none
  unsigned row_error;      // largest |y - reference|^2 / |reference|^2 of a row
  unsigned element_error;  // largest |y - reference|^2 / mean square of the reference row
};

struct ComparisonArgs {
  RowsShape shape;
  GroupedGemmArgs gemm;
  int columns;              // of y (of dW) and the reference
  const float* reference;   // (M, columns), indexed like y; of dW (E N, columns)
  float tolerance_squared;  // a row with a larger squared error is bad
  unsigned char* defined;   // (M), zeroed: the rows of y that the problem defines; not of dW
  ComparisonWords* result;  // zeroed
  unsigned* expert_error;   // (E), zeroed
  int float32;              // the output is float32: only dW
};

}  // namespace moe_tune::abi
