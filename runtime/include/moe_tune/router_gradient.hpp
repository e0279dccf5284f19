// The gradient of the router of an MoE block (moe_tune/router.hpp): the C++ API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/router_problem.hpp"

namespace moe_tune {

/// Device memory of one call; nothing is owned or kept. Tensors are contiguous; hidden_states, weight, d_hidden_states, d_weight
/// and the workspace are 16-byte aligned, the others to their element. With l = router_logits[t, :], e_c = selected_experts[t,
/// c], g_c = d_topk_weights[t, c], and the routing weights w_c made again from l and the selection, as Router does but not
/// rounded:
///   softmax_norm_topk  d_l[e_c] = w_c (g_c - sum_c' w_c' g_c'); 0 for experts that are not selected
///   softmax            d_l[e]   = p_e ([e = e_c] g_c - sum_c' p_e_c' g_c'), p = softmax(l)
///   sigmoid            d_l[e_c] = (1 - w_c) g_c; 0 for experts that are not selected. There g_c is the gradient by the weight's
///                      logarithm, which is the gradient times the weight: what the gradient of rows that were scaled before
///                      their expert gives without a division.
///   d_logits[t, :]        = d_l + d_router_logits[t, :], in float32, rounded to dtype
///   d_hidden_states[t, :] = d_logits[t, :] . weight, accumulated in float32, rounded to dtype
///   d_weight              = the sum over tokens of d_logits[t, :]^T . hidden_states[t, :], in float32; with `accumulate` added
///   to
///                           what stands there; rounded at most once
/// g_c counts as 0, and is not read, where e_c is not one of the problem's local experts: processes that share the experts each
/// compute a share, and d_router_logits is for one of them. An id outside [0, E) has no weight, and is reported by DeviceStatus
/// (bad_selected_expert).
struct RouterGradientArgs {
  const void* hidden_states = nullptr;     ///< (tokens, H)
  const void* weight = nullptr;            ///< (E, H)
  const void* router_logits = nullptr;     ///< (tokens, E), as Router wrote them
  const void* selected_experts = nullptr;  ///< (tokens, top_k) int32, distinct within a token
  const void* d_topk_weights = nullptr;    ///< (tokens, top_k) float32
  const void* d_router_logits =
      nullptr;                      ///< (tokens, E): what the logits get from elsewhere, e.g. an auxiliary loss; null: nothing
  void* d_hidden_states = nullptr;  ///< (tokens, H); written; null: not wanted
  void* d_weight = nullptr;         ///< (E, H) of d_weight_type; written, also where there are no tokens; null: not wanted
  WeightType d_weight_type = WeightType::storage;
  bool accumulate = false;            ///< d_weight is added to what stands there
  const void* token_count = nullptr;  ///< one int32 on the device, in [0, tokens]: tokens from there on are not there: they add
                                      ///< nothing, their rows of d_hidden_states are not touched; null: all are
  std::int64_t tokens = 0;
  void* workspace = nullptr;  ///< RouterGradient::workspace_bytes(tokens) bytes that no other call uses meanwhile
  std::size_t workspace_bytes = 0;
};

/// The gradient of a router on one device. Thread-safe: any threads may run it, on any streams of the device. run() enqueues up
/// to four kernels and returns, without synchronising with the device and without allocating; it can be captured into a CUDA
/// graph and replayed. Reruns give the same bits. The first call compiles (or finds in the cache) and loads the kernels;
/// prepare() does that ahead of time, and must have before a capture.
class MOE_TUNE_API RouterGradient {
 public:
  /// Throws UsageError for a problem that cannot be or a device that does not exist, EnvironmentError without a GPU or NVRTC.
  RouterGradient(Library& library, const RouterProblem& problem, int device);
  ~RouterGradient();
  RouterGradient(RouterGradient&&) noexcept;
  RouterGradient& operator=(RouterGradient&&) noexcept;

  /// Throws UsageError for bad arguments, and with LibraryOptions::check_each_call for bad device data.
  void run(const RouterGradientArgs& args, CUstream_st* stream);
  std::size_t workspace_bytes(std::int64_t tokens) const;
  void prepare();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moe_tune
