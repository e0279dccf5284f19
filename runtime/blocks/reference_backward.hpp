// The backward of a reference block, on the device that it lives on.
#pragma once

#include <memory>

#include "runtime/blocks/reference_forward.hpp"

namespace moe_tune {

/// The gradients that come in, on the block's device.
struct ReferenceOutputGradients {
  const void* out = nullptr;            ///< (tokens, H)
  const void* router_logits = nullptr;  ///< (tokens, E); null: zeros
};

class ReferenceBackward {
 public:
  virtual ~ReferenceBackward() = default;
  /// Runs the forward first. The result's d_hidden_states have the shape (tokens, H).
  virtual GroupedGemmGradients run(const MoeWeights& weights, const ReferenceInputs& inputs,
                                   const ReferenceOutputGradients& d) = 0;
};

/// In float64, rounded to `type` once (runtime/reference/moe_block_gradient.hpp).
std::unique_ptr<ReferenceBackward> make_cpu_backward(const ModelShape& config, TensorType type);

/// A kernel for each step, on the default stream, but for the routing weights' gradient and what follows from it; waits for the
/// result. `type` is bf16 or fp16.
std::unique_ptr<ReferenceBackward> make_gpu_backward(const ModelShape& config, TensorType type, int device);

}  // namespace moe_tune
