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
