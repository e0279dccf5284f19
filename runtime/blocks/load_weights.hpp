// Weights of blocks: out of checkpoints, out of other memory, compared.
#pragma once

#include <filesystem>
#include <optional>

#include "moe_tune/model_shape.hpp"
#include "moe_tune/owned_weights.hpp"
#include "runtime/io/element_type.hpp"

namespace moe_tune {

/// Which weights a block has, and how large they are.
struct WeightShapes {
  ModelShape model;     ///< shared_expert_I is 0 where the block has none
  ExpertRange experts;  ///< with a count
  TensorType type = TensorType::bf16;
};

/// What a tensor's elements are called in files.
ElementType element_type(TensorType type);

/// A layer of a checkpoint folder, streamed to `device`. Throws UsageError for a folder or file that is not sound, a layer that
/// is not there or not an MoE layer, and weights of other shapes.
OwnedWeights load_weights(const std::filesystem::path& checkpoint, int layer, const WeightShapes& shapes, int device);

/// Copies weights that lie on the host or on `device`.
OwnedWeights copy_weights(const MoeWeights& weights, const WeightShapes& shapes, int device);

/// Throws UsageError naming tensor and index of the first difference between `weights`, on `device`, and a layer of a checkpoint,
/// or when the two are of other shapes. A shared expert that the block has not is not compared.
void compare_weights(const std::filesystem::path& checkpoint, int layer, const WeightShapes& shapes, const MoeWeights& weights,
                     int device);

/// What a checkpoint's config.json says of its blocks; `type` goes before the config's dtype.
WeightShapes checkpoint_shapes(const std::filesystem::path& checkpoint, std::optional<TensorType> type);

}  // namespace moe_tune
