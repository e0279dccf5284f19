// The forward of a fused block, as a sequence of operations.
#pragma once

#include "moe_tune/moe_block.hpp"
#include "runtime/blocks/block_executor.hpp"
#include "runtime/blocks/block_workspace.hpp"

namespace moe_tune {

/// Enqueues the forward; `args` are sound and have tokens. `saved`: where what the backward reads is kept; null: nothing is.
///
///   shared expert ───────────────────────────────────────────────────────┐ (a branch with overlap_router_shared)
///   router ─▶ [permute] ─▶ gate_up, SwiGLU ─▶ down ─▶ rows of each slot ─┴▶ combine ─▶ out
void enqueue_forward(const BlockShape& shape, const MoeWeights& weights, const MoeForwardArgs& args,
                     const ForwardWorkspace& workspace, const SavedForward* saved, BlockExecutor& executor,
                     MoeStepObserver* observer);

}  // namespace moe_tune
