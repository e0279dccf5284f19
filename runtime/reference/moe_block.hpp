// The MoE blocks of Qwen3 and Llama4 on the CPU, step by step, as plain as they can be written: what fused blocks are judged by.
#pragma once

#include <cstdint>
#include <vector>

#include "moe_tune/model_shape.hpp"
#include "runtime/reference/storage.hpp"

namespace moe_tune {

/// Where a row of Llama4 gets its score: both are the same but for rounding.
enum class ScoreOrder {
  before_products,  ///< the row of x is scaled and rounded, as transformers does
  after_products,   ///< the row's products with gate_up_proj are, before they are rounded
};

/// Host memory of one call; nothing is owned. Tensors are contiguous and row-major. L is the number of local experts, S
/// shape.shared_expert_I.
struct MoeBlockInputs {
  ModelShape shape;
  std::int64_t tokens = 0;
  Storage dtype = Storage::bf16;              ///< of all tensors
  Storage rounding = Storage::float64;        ///< what every intermediate is rounded to, as an unfused block stores it
  const void* hidden_states = nullptr;        ///< (tokens, H)
  const void* gate = nullptr;                 ///< (E, H): the router's weight
  const void* gate_up_proj = nullptr;         ///< (L, 2I, H)
  const void* down_proj = nullptr;            ///< (L, H, I)
  const void* shared_gate_up_proj = nullptr;  ///< (2S, H); null: the shared expert is somebody else's share, or there is none
  const void* shared_down_proj = nullptr;     ///< (H, S)
  /// (tokens, top_k), distinct within a token: taken instead of the router's choice. A slot whose id is outside [0, E) has no row
  /// and the weight 0. null: the router chooses.
  const std::int32_t* selected_experts = nullptr;
  ExpertRange experts;  ///< the local ones; the others' slots have no rows
  ScoreOrder score_order = ScoreOrder::before_products;
  int threads = 0;  ///< 0: one per core
};

/// Every intermediate, by the names that transformers' and Unsloth's reference blocks have for it. R is the number of rows of
/// local experts, at most M = tokens * top_k; they are sorted by expert and then by slot (token * top_k + choice).
struct MoeBlockResult {
  std::vector<double> router_logits;                 ///< (tokens, E)
  std::vector<std::int32_t> selected_experts;        ///< (tokens, top_k), in falling order of logits
  std::vector<double> topk_weights;                  ///< (tokens, top_k)
  std::vector<std::int64_t> token_counts_by_expert;  ///< (L)
  std::vector<std::int32_t> gather_indices;          ///< (R) the slot of each row
  std::vector<double> routed_in;                     ///< (R, H) what goes into the experts
  std::vector<double> first_gemm;                    ///< (R, 2I)
  std::vector<double> intermediate;                  ///< (R, I)
  std::vector<double> second_gemm;                   ///< (R, H)
  std::vector<double> hidden_states_unpermute;       ///< (M, H) by slot; zeros where a slot has no row
  /// (tokens, H) the sum over a token's experts. Of Qwen3 each row is weighted and rounded, and each addition rounded, in the
  /// order of experts; of Llama4 the sum is rounded once.
  std::vector<double> hidden_states_after_weight_merge;
  std::vector<double> shared_first_gemm;    ///< (tokens, 2S); the three are empty without a shared expert
  std::vector<double> shared_intermediate;  ///< (tokens, S)
  std::vector<double> shared_expert_out;    ///< (tokens, H)
  std::vector<double> hidden_states;        ///< (tokens, H) the block's output
};

/// The local experts of the call, the default resolved. Throws UsageError for a range outside [0, E).
ExpertRange local_experts(const MoeBlockInputs& inputs);

/// Arithmetic and sums are in float64. Throws UsageError for a shape, range or pointer that cannot be.
MoeBlockResult reference_moe_block(const MoeBlockInputs& inputs);

}  // namespace moe_tune
