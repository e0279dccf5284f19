// The device memory of one forward of a block, cut from one piece.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/blocks/block_shape.hpp"

namespace moe_tune {

/// What operations of a block need for themselves at some token count, in bytes.
struct OperationNeeds {
  std::size_t router = 0;
  std::size_t gate_up = 0;  ///< GroupedGemm::workspace_bytes of the first GEMM; the others need none
};

/// Addresses within the piece; each is 256-byte aligned. M = tokens * top_k.
struct BlockWorkspace {
  void* router_logits = nullptr;      ///< (tokens, E)
  void* selected_experts = nullptr;   ///< (M) int32
  void* topk_weights = nullptr;       ///< (M)
  void* m_sizes = nullptr;            ///< (L) int32
  void* gather_indices = nullptr;     ///< (M) int32
  void* slot_rows = nullptr;          ///< (M) int32
  void* token_count = nullptr;        ///< one int32
  void* router = nullptr;             ///< of the router
  void* activation = nullptr;         ///< (M, I)
  void* rows = nullptr;               ///< what the first GEMM needs or reads, then the rows of the second one, (M, H)
  void* shared_activation = nullptr;  ///< (tokens, S)
  OperationNeeds needs;
  std::size_t rows_bytes = 0;
  std::size_t bytes = 0;  ///< of all

  /// The workspace that begins at `base`. With a null base the addresses mean nothing, but `bytes` is how many it takes.
  BlockWorkspace(const BlockShape& shape, std::int64_t tokens, const OperationNeeds& operations, void* base);
};

}  // namespace moe_tune
