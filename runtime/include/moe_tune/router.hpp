// The router of an MoE block: which experts see a token, with what weights, and in which order their rows stand: the C++ API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/router_problem.hpp"

namespace moe_tune {

/// Device memory of one call; nothing is owned or kept. Tensors are contiguous; hidden_states and weight are 16-byte aligned, the
/// others to their element. Slots are token * top_k + choice, M = tokens * top_k, L = local experts.
///   router_logits[t, :]    = hidden_states[t, :] . weight^T, accumulated in float32, rounded to dtype
///   selected_experts[t, :] = the experts with the top_k largest logits (as rounded), in falling order; of equal ones the lowest id
///                            first. NaN is larger than everything, as in torch.
///   topk_weights[t, c]     = softmax(float32(logits))[expert], divided by the sum over c with softmax_norm_topk; or
///                            sigmoid(float32(logit)); rounded to dtype
///   m_sizes[e]             = slots whose expert is first_expert + e
///   gather_indices[r]      = the slots of local experts, sorted by expert and then by slot; behind sum(m_sizes) not touched
///   slot_rows[s]           = r where gather_indices[r] = s; -1 for a slot whose expert is not local
/// Logits are NaN where the hidden states are; softmax of a row with a NaN is all NaN, and then experts 0, 1, ... are selected.
struct RouterArgs {
  const void* hidden_states = nullptr;  ///< (tokens, H)
  const void* weight = nullptr;         ///< (E, H)
  void* router_logits = nullptr;        ///< (tokens, E); written; needed
  void* selected_experts = nullptr;     ///< (tokens, top_k) int32; written, or with `inject` read
  void* topk_weights = nullptr;         ///< (tokens, top_k) of dtype; written
  void* m_sizes = nullptr;              ///< (L) int32; written
  void* gather_indices = nullptr;       ///< (M) int32; written
  void* slot_rows = nullptr;            ///< (M) int32; written
  /// Take selected_experts as they are, distinct within a token, and compute the weights for them. An id outside [0, E) is reported
  /// by DeviceStatus (bad_selected_expert); its slot has no row and the weight 0.
  bool inject = false;
  const void* token_count = nullptr;  ///< one int32 on the device, in [0, tokens]: tokens from there on are not there: they have no
                                      ///< rows, their slot_rows are -1, their other results are not touched; null: all are
  void* routed_tokens = nullptr;      ///< one int32; written: how many tokens are there; null: not wanted
  std::int64_t tokens = 0;
  void* workspace = nullptr;  ///< Router::workspace_bytes(tokens) bytes, 16-byte aligned, that no other call uses meanwhile
  std::size_t workspace_bytes = 0;
};

/// A router on one device. Thread-safe: any threads may run it, on any streams of the device. run() enqueues two or three kernels
/// and returns, without synchronising with the device and without allocating; it can be captured into a CUDA graph and replayed.
/// Reruns give the same bits. The first call compiles (or finds in the cache) and loads the kernels; prepare() does that ahead of
/// time, and must have before a capture. Formulas: transformers' Qwen3MoeTopKRouter and Llama4Router.
class MOE_TUNE_API Router {
 public:
  /// Throws UsageError for a problem that cannot be or a device that does not exist, EnvironmentError without a GPU or NVRTC.
  Router(Library& library, const RouterProblem& problem, int device);
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  /// Throws UsageError for bad arguments, and with LibraryOptions::check_each_call for bad device data.
  void run(const RouterArgs& args, CUstream_st* stream);
  std::size_t workspace_bytes(std::int64_t tokens) const;
  void prepare();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moe_tune
