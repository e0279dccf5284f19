// The arguments of a grouped-GEMM kernel and its status bits. Of templates, those of abi/ are what host code includes.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

namespace moe_tune::abi {

/// Bits that a kernel sets in *status when it meets bad device data. They stay until the host clears them.
enum StatusBit : unsigned {
  status_bad_gather_index = 1u,     // an index outside [0, M): the row is skipped
  status_bad_m_sizes = 2u,          // a negative size, or a sum above M: sizes are cut so that rows stay inside [0, M)
  status_bad_selected_expert = 4u,  // an injected expert outside [0, E): its slot has no row and the weight 0
  status_bad_token_count = 8u,      // outside [0, tokens]: cut to it
};

/// Passed by value. The pointers, strides, M and the device data are all that a compiled kernel does not know. Below, x, w and y
/// are those of forward; gradients have in their place
///         x                       w                                    y
///   dX    dY (M, N), read         W                                    dX (M, K), written
///   dW    X, read                 dW (E, N, K), written, or float32    dY (M, N), read
struct GroupedGemmArgs {
  const void* x;               // (T, K) with permute_x, else (M, K)
  const void* w;               // (E, N, K)
  void* y;                     // (M, N); with fuse_swiglu (M, N / 2)
  void* pre_activation;        // (M, N) with keep_pre_activation; else unused
  const void* m_sizes;         // (E), int32 or int64
  const void* gather_indices;  // (M), int32 or int64; unused without a permutation
  const void* topk_weights;    // (M) by slot, the storage dtype or float32; unused without fuse_mul_post and fuse_mul_pre
  unsigned* status;            // status bits, host-mapped
  long long w_expert_bytes;    // from one expert's w to the next
  int x_row_bytes;             // from one row of x to the next
  int w_row_bytes;             // from one row of an expert's w to the next
  int y_row_bytes;             // from one row of y to the next
  int pre_activation_row_bytes;
  int M;                  // routed rows: T * top_k
  int m_sizes_64;         // m_sizes is int64
  int gather_indices_64;  // gather_indices is int64
  int topk_weights_f32;   // topk_weights is float32
};

}  // namespace moe_tune::abi
