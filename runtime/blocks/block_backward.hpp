// The backward of a fused block, as a sequence of operations.
#pragma once

#include "moe_tune/moe_block.hpp"
#include "runtime/blocks/block_executor.hpp"
#include "runtime/blocks/block_workspace.hpp"

namespace moe_tune {

/// Enqueues the backward; `args` are sound and ask for a gradient.
///
///   d_out ─permute─▶ rows ─dX of down─▶ d_activation ─SwiGLU─▶ d_pre_activation ─dX of gate_up─▶ rows ─┐
///                     │                      │    └─▶ d_topk_weights ─router─▶ d_gate, d_hidden_states ─┴combine─▶ d_hidden_states
///                     └───dW of down─────────┴ activation             hidden_states ─permute─▶ rows ─dW of gate_up (d_pre_activation)
///
/// then the same of the shared expert, whose rows are the tokens. All rows are in expert order; each tensor takes the place of one
/// that is not needed any more (runtime/blocks/block_workspace.hpp). What nobody asks for is left out.
void enqueue_backward(const BlockShape& shape, const MoeWeights& weights, const MoeBackwardArgs& args, const SavedForward& saved,
                      const BackwardWorkspace& workspace, BlockExecutor& executor, MoeStepObserver* observer);

}  // namespace moe_tune
