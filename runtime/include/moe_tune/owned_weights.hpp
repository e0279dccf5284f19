// The weights of an MoE block with their memory.
#pragma once

#include "moe_tune/moe_weights.hpp"
#include "moe_tune/owned_tensor.hpp"

namespace moe_tune {

/// In the layout of MoeWeights, all of one type, on one device. Those that a block has not are no tensors.
struct OwnedWeights {
  OwnedTensor gate;
  OwnedTensor gate_up_proj;
  OwnedTensor down_proj;
  OwnedTensor shared_gate_up_proj;
  OwnedTensor shared_down_proj;

  MoeWeights addresses() const {
    return {gate.data(), gate_up_proj.data(), down_proj.data(), shared_gate_up_proj.data(), shared_down_proj.data()};
  }
};

}  // namespace moe_tune
