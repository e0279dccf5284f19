// The weights of an MoE block.
#pragma once

namespace moe_tune {

/// Where the weights of a block lie; nothing is owned. Row-major, contiguous, of the block's dtype, 16-byte aligned. L is the
/// number of experts that this process has, S the intermediate size of the shared expert.
struct MoeWeights {
  const void* gate = nullptr;                 ///< (E, H): the router's
  const void* gate_up_proj = nullptr;         ///< (L, 2 I, H): of each expert I rows for gate, then I rows for up
  const void* down_proj = nullptr;            ///< (L, H, I)
  const void* shared_gate_up_proj = nullptr;  ///< (2 S, H); Llama4
  const void* shared_down_proj = nullptr;     ///< (H, S); Llama4
};

}  // namespace moe_tune
