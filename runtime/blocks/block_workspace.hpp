// The device memory of a block's calls, each cut from one piece.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/blocks/block_shape.hpp"

namespace moe_tune {

// Addresses within a piece; each is 256-byte aligned. M = tokens * top_k. With a null base they mean nothing, but `bytes` is how
// many a piece takes.

/// What a router makes.
struct BlockRouting {
  void* router_logits = nullptr;     ///< (tokens, E)
  void* selected_experts = nullptr;  ///< (M) int32
  void* topk_weights = nullptr;      ///< (M)
  void* m_sizes = nullptr;           ///< (L) int32
  void* gather_indices = nullptr;    ///< (M) int32
  void* slot_rows = nullptr;         ///< (M) int32
  void* token_count = nullptr;       ///< one int32
};

/// What a forward keeps for its backward.
struct SavedForward {
  BlockRouting routing;
  void* pre_activation = nullptr;         ///< (M, 2 I)
  void* shared_pre_activation = nullptr;  ///< (tokens, 2 S)
  std::size_t bytes = 0;

  SavedForward(const BlockShape& shape, std::int64_t tokens, void* base);
};

/// What the operations of a forward need for themselves at some token count, in bytes.
struct OperationNeeds {
  std::size_t router = 0;
  std::size_t gate_up = 0;  ///< GroupedGemm::workspace_bytes of the first GEMM; the others need none
};

/// Of a forward.
struct ForwardWorkspace {
  BlockRouting routing;
  void* router = nullptr;             ///< of the router
  void* activation = nullptr;         ///< (M, I)
  void* rows = nullptr;               ///< what the first GEMM needs or reads, then the rows of the second one, (M, H)
  void* shared_activation = nullptr;  ///< (tokens, S)
  OperationNeeds needs;
  std::size_t rows_bytes = 0;
  std::size_t bytes = 0;

  ForwardWorkspace(const BlockShape& shape, std::int64_t tokens, const OperationNeeds& operations, void* base);
};

/// Of a backward.
struct BackwardWorkspace {
  void* d_topk_weights = nullptr;  ///< (M) float32
  void* router = nullptr;          ///< of the router's gradient
  void* activation = nullptr;      ///< (M, I) or (tokens, S): d_activation, then the activation
  void* rows = nullptr;            ///< (M, H): rows of d_out, then of the hidden states, then their gradients
  std::size_t router_bytes = 0;
  std::size_t bytes = 0;

  BackwardWorkspace(const BlockShape& shape, std::int64_t tokens, std::size_t router_needs, void* base);
};

}  // namespace moe_tune
