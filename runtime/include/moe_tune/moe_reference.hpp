// The MoE blocks of Qwen3 and Llama4 step by step, with every intermediate: what the fused blocks are compared with. The C++ API.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/model_shape.hpp"
#include "moe_tune/moe_weights.hpp"
#include "moe_tune/owned_tensor.hpp"
#include "moe_tune/owned_weights.hpp"

namespace moe_tune {

/// Every intermediate of one forward, on the block's device; M = tokens * top_k. Rows are in expert order unless said.
struct GroupedGemmResult {
  OwnedTensor router_logits;                     ///< (tokens, E)
  OwnedTensor selected_experts;                  ///< (tokens, top_k) int32
  OwnedTensor topk_weights;                      ///< (tokens, top_k)
  OwnedTensor token_counts_by_expert;            ///< (E) int32
  OwnedTensor gather_indices;                    ///< (M) int32
  OwnedTensor first_gemm;                        ///< (M, 2 I)
  OwnedTensor intermediate;                      ///< (M, I)
  OwnedTensor second_gemm;                       ///< (M, H)
  OwnedTensor hidden_states_unpermute;           ///< (M, H) in slot order
  OwnedTensor hidden_states_after_weight_merge;  ///< Llama4: (tokens, H), the sum over a token's experts
  OwnedTensor shared_expert_out;                 ///< Llama4: (tokens, H)
  OwnedTensor hidden_states;                     ///< of the shape of the input: the block's output (Llama4: final_out)
};

/// The gradients of one backward, and what lies on the way to them, all of the block's type and on its device; M = tokens *
/// top_k, S is the shared expert's intermediate size. Rows are in expert order. A slot whose expert does not exist has none: the
/// CPU returns so many fewer, a GPU leaves the last ones of M undefined.
struct GroupedGemmGradients {
  OwnedTensor d_hidden_states;        ///< of the shape of the input
  OwnedTensor d_topk_weights;         ///< (tokens, top_k); 0 where the expert does not exist
  OwnedTensor d_router_logits;        ///< (tokens, E) through the weights of the chosen experts, plus what came in
  OwnedTensor d_gate;                 ///< (E, H)
  OwnedTensor d_gate_up_proj;         ///< (E, 2 I, H); of this and the next, zeros for an expert without rows
  OwnedTensor d_down_proj;            ///< (E, H, I)
  OwnedTensor d_shared_gate_up_proj;  ///< (2 S, H); the two are no tensors without a shared expert
  OwnedTensor d_shared_down_proj;     ///< (H, S)
  OwnedTensor d_second_gemm;          ///< (M, H)
  OwnedTensor d_intermediate;         ///< (M, I)
  OwnedTensor d_first_gemm;           ///< (M, 2 I)
};

// Steps by themselves, by the names that Unsloth's blocks have for them: run_router and get_token_counts_and_gather_indices are
// Router::run() (moe_tune/router.hpp); permute, unpermute and act_and_mul are RowOperations::permute_rows(), unpermute_rows() and
// act_and_mul() (moe_tune/row_operations.hpp).

/// What both reference blocks have. Nothing is fused: each step reads and writes memory, rounds as transformers does, and can be
/// looked at. On the CPU (cpu_device) in fp32, bf16 or fp16, with sums in float64; on a GPU in bf16 or fp16. Calls wait for their
/// results. Not thread-safe.
class MOE_TUNE_API MoeReferenceBlock {
 public:
  ~MoeReferenceBlock();
  MoeReferenceBlock(MoeReferenceBlock&&) noexcept;
  MoeReferenceBlock& operator=(MoeReferenceBlock&&) noexcept;

  /// `hidden_states` (..., H), of the block's type and on its device. `selected_experts`: experts to take instead of those that
  /// the router would choose, (tokens, top_k) int32. Throws UsageError for another shape, type or device.
  GroupedGemmResult forward(const OwnedTensor& hidden_states, const OwnedTensor* selected_experts = nullptr);

  /// The gradients of the sum over d_out * out + d_router_logits * router_logits; the selection carries none. Runs the forward
  /// itself. `d_out` has the shape of `hidden_states`, `d_router_logits` is (tokens, E), null: zeros; both are of the block's
  /// type and on its device. On the CPU nothing is rounded before the results. On a GPU each step is a kernel and rounds, but for
  /// d_topk_weights, d_router_logits, d_gate and the router's part of d_hidden_states: those are computed on the host, in float64
  /// from copies, and rounded. Throws UsageError for another shape, type or device, and for weights that are null.
  GroupedGemmGradients backward(const OwnedTensor& hidden_states, const OwnedTensor& d_out,
                                const OwnedTensor* d_router_logits = nullptr, const OwnedTensor* selected_experts = nullptr);

  const ModelShape& config() const;
  const MoeWeights& weights() const;
  TensorType type() const;
  int device() const;

  /// The tensors of a layer of a checkpoint folder in `type`, on the host; null: as the config says.
  static OwnedWeights extract_hf_weights(const std::filesystem::path& checkpoint, int layer,
                                         std::optional<TensorType> type = std::nullopt);
  /// Copies weights of the host or of the block's device, which the block then owns.
  void copy_weights(const MoeWeights& weights);
  /// Compares with a layer of a checkpoint bit by bit; throws UsageError naming tensor and index of the first difference.
  void check_weights(const std::filesystem::path& checkpoint, int layer) const;

 protected:
  MoeReferenceBlock(const ModelShape& config, TensorType type, int device);
  void use_weights(const MoeWeights& weights);
  void load_weights(const std::filesystem::path& checkpoint, int layer);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Qwen3MoeSparseMoeBlock of transformers, step by step.
class MOE_TUNE_API Qwen3MoeGroupedGemmBlock : public MoeReferenceBlock {
 public:
  /// `weights` lie on `device` and outlive the block, or are null and come by copy_weights(). Throws UsageError for a config that
  /// is no Qwen3 layer or a type that the device cannot, EnvironmentError without the GPU that `device` names.
  Qwen3MoeGroupedGemmBlock(const ModelShape& config, TensorType type, const MoeWeights& weights, int device = cpu_device);
  /// A layer of a checkpoint folder (config.json, safetensors), in `type`; null: that of the config. The block owns the weights.
  static Qwen3MoeGroupedGemmBlock from_hf(const std::filesystem::path& checkpoint, int layer, int device = cpu_device,
                                          std::optional<TensorType> type = std::nullopt);
};

/// Llama4TextMoe of transformers, step by step; the rows that go into the experts are scaled and rounded first, as there.
class MOE_TUNE_API Llama4GroupedGemmTextMoe : public MoeReferenceBlock {
 public:
  /// As of Qwen3.
  Llama4GroupedGemmTextMoe(const ModelShape& config, TensorType type, const MoeWeights& weights, int device = cpu_device);
  static Llama4GroupedGemmTextMoe from_hf(const std::filesystem::path& checkpoint, int layer, int device = cpu_device,
                                          std::optional<TensorType> type = std::nullopt);
};

}  // namespace moe_tune
