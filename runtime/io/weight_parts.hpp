// Where in a checkpoint the weights of an MoE layer are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/io/moe_weights.hpp"

namespace moe_tune {

/// A matrix of a tensor of the checkpoint: rows x columns of the tensor in memory, that stand one behind the other.
struct WeightPart {
  MoeTensor target;
  const HostTensor* source;
  std::int64_t first;  ///< element of the source
  std::int64_t rows;
  std::int64_t columns;
  bool transposed = false;  ///< the source has columns x rows
};

/// All of a layer, in the order of MoeTensor and of their place in it. Throws UsageError as read_moe_weights().
std::vector<WeightPart> find_weight_parts(const Checkpoint& checkpoint, int layer, ExpertRange experts);

}  // namespace moe_tune
