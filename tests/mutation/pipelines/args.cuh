// What the host passes to every pipeline of the mutation study; a pipeline uses the part that it needs.
// archs: sm_90a
#pragma once

#include "abi/tensor_map.cuh"

namespace moe_tune::study {

/// The matrix pipelines compute Y = A . B^T: A (M, K), B (N, K), Y (M, N), bf16, rows without padding.
struct PipelineArgs {
  abi::TensorMap a;
  abi::TensorMap b;
  abi::TensorMap y_map;
  const void* x;       // what is read without a map
  const int* indices;  // rows of x
  void* y;
  void* workspace;
  unsigned* counters;  // zero at the start
  int M;
  int N;
  int K;
  int tokens;  // rows of x that indices may name
};

}  // namespace moe_tune::study
