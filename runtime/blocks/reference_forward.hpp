// The forward of a reference block, on the device that it lives on.
#pragma once

#include <cstdint>
#include <memory>

#include "moe_tune/moe_reference.hpp"

namespace moe_tune {

/// What one forward reads: `hidden_states` (tokens, H) and the weights on the block's device.
struct ReferenceInputs {
  const void* hidden_states = nullptr;
  const void* selected_experts = nullptr;  ///< (tokens, top_k) int32; null: the router chooses
  std::int64_t tokens = 0;
};

class ReferenceForward {
 public:
  virtual ~ReferenceForward() = default;
  /// The result's hidden_states have the shape (tokens, H).
  virtual GroupedGemmResult run(const MoeWeights& weights, const ReferenceInputs& inputs) = 0;
};

/// In float64, rounded to `type` after each step (runtime/reference/moe_block.hpp).
std::unique_ptr<ReferenceForward> make_cpu_forward(const ModelShape& config, TensorType type);

/// A kernel for each step, on the default stream; waits for the result. `type` is bf16 or fp16.
std::unique_ptr<ReferenceForward> make_gpu_forward(const ModelShape& config, TensorType type, int device);

}  // namespace moe_tune
