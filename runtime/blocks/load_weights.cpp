#include "runtime/blocks/load_weights.hpp"

#include <fmt/format.h>

#include <iterator>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/blocks/copy_bytes.hpp"
#include "runtime/io/moe_weights.hpp"

namespace moe_tune {

namespace {

// By MoeTensor.
constexpr OwnedTensor OwnedWeights::*owned_members[] = {&OwnedWeights::gate, &OwnedWeights::gate_up_proj,
                                                        &OwnedWeights::down_proj, &OwnedWeights::shared_gate_up_proj,
                                                        &OwnedWeights::shared_down_proj};
constexpr const void* MoeWeights::*address_members[] = {&MoeWeights::gate, &MoeWeights::gate_up_proj, &MoeWeights::down_proj,
                                                        &MoeWeights::shared_gate_up_proj, &MoeWeights::shared_down_proj};
static_assert(std::size(owned_members) == all_moe_tensors.size() && std::size(address_members) == all_moe_tensors.size());

OwnedTensor& tensor_of(OwnedWeights& weights, MoeTensor tensor) {
  return weights.*owned_members[static_cast<std::size_t>(tensor)];
}

const void* address_of(const MoeWeights& weights, MoeTensor tensor) {
  return weights.*address_members[static_cast<std::size_t>(tensor)];
}

/// Memory on `device` for all of them, not initialised.
OwnedWeights allocate_weights(const WeightShapes& shapes, int device) {
  const MoeWeightsLayout layout = moe_weights_layout(shapes.model, shapes.experts);
  OwnedWeights weights;
  for (const MoeTensor tensor : all_moe_tensors) {
    if (!layout.shape(tensor).empty()) tensor_of(weights, tensor) = OwnedTensor(shapes.type, layout.shape(tensor), device);
  }
  return weights;
}

/// Throws UsageError unless the checkpoint's blocks have these weights, the shared expert's aside where the block has none.
void require_same_shapes(const Checkpoint& checkpoint, const WeightShapes& shapes) {
  const MoeWeightsLayout theirs = moe_weights_layout(checkpoint.config().shape, shapes.experts);
  const MoeWeightsLayout ours = moe_weights_layout(shapes.model, shapes.experts);
  for (const MoeTensor tensor : all_moe_tensors) {
    if (ours.shape(tensor).empty() || ours.shape(tensor) == theirs.shape(tensor)) continue;
    throw UsageError(fmt::format("check_weights: {} is {} in the block and {} in {}", to_string(tensor),
                                 describe_shape(ours.shape(tensor)), describe_shape(theirs.shape(tensor)),
                                 checkpoint.folder().string()));
  }
}

}  // namespace

ElementType element_type(TensorType type) {
  switch (type) {
    case TensorType::bf16:
      return ElementType::bf16;
    case TensorType::fp16:
      return ElementType::fp16;
    case TensorType::fp32:
      return ElementType::fp32;
    case TensorType::int32:
      return ElementType::int32;
  }
  throw UsageError(fmt::format("tensor type {} is none of a file", static_cast<int>(type)));
}

OwnedWeights load_weights(const std::filesystem::path& checkpoint, int layer, const WeightShapes& shapes, int device) {
  OwnedWeights weights = allocate_weights(shapes, device);
  read_moe_weights(Checkpoint(checkpoint), layer, element_type(shapes.type), shapes.experts,
                   [&](MoeTensor which, std::size_t offset, std::span<const std::byte> bytes) {
                     OwnedTensor& tensor = tensor_of(weights, which);
                     if (tensor) tensor.write(bytes.data(), bytes.size(), offset);  // else it is another process's share
                   });
  return weights;
}

OwnedWeights copy_weights(const MoeWeights& from, const WeightShapes& shapes, int device) {
  OwnedWeights weights = allocate_weights(shapes, device);
  for (const MoeTensor which : all_moe_tensors) {
    OwnedTensor& tensor = tensor_of(weights, which);
    if (!tensor) continue;
    const void* source = address_of(from, which);
    if (source == nullptr) throw UsageError(fmt::format("copy_weights: {} is null", to_string(which)));
    copy_bytes(tensor.data(), source, tensor.bytes(), device);
  }
  return weights;
}

void compare_weights(const std::filesystem::path& checkpoint, int layer, const WeightShapes& shapes, const MoeWeights& weights,
                     int device) {
  const Checkpoint theirs(checkpoint);
  require_same_shapes(theirs, shapes);
  const bool has_shared_expert = shapes.model.shared_expert_I > 0;
  std::vector<std::byte> piece;
  const auto compared = [&](MoeTensor which, std::size_t offset, std::size_t bytes) -> const std::byte* {
    const bool shared = which == MoeTensor::shared_gate_up_proj || which == MoeTensor::shared_down_proj;
    if (shared && !has_shared_expert) return nullptr;
    const void* const address = address_of(weights, which);
    if (address == nullptr) throw UsageError(fmt::format("check_weights: the block has no {}", to_string(which)));
    piece.resize(bytes);
    copy_bytes(piece.data(), static_cast<const std::byte*>(address) + offset, bytes, device);
    return piece.data();
  };
  const auto difference = check_moe_weights(theirs, layer, element_type(shapes.type), shapes.experts, compared);
  if (difference) throw UsageError(fmt::format("check_weights: {}", *difference));
}

WeightShapes checkpoint_shapes(const std::filesystem::path& folder, std::optional<TensorType> type) {
  const Checkpoint checkpoint(folder);
  const ModelConfig& config = checkpoint.config();
  WeightShapes shapes{config.shape, {0, config.shape.E}, TensorType::bf16};
  if (type) {
    shapes.type = *type;
  } else if (config.dtype == "bfloat16") {
    shapes.type = TensorType::bf16;
  } else if (config.dtype == "float16") {
    shapes.type = TensorType::fp16;
  } else if (config.dtype == "float32") {
    shapes.type = TensorType::fp32;
  } else {
    throw UsageError(fmt::format("{}: config.json has {}: name the dtype that the weights shall have", folder.string(),
                                 config.dtype.empty() ? "no dtype" : "the dtype " + config.dtype));
  }
  return shapes;
}

}  // namespace moe_tune
