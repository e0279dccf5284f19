// The weights of one MoE layer of a checkpoint, as moe_tune/moe_weights.hpp lays them out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe_tune/model_shape.hpp"
#include "runtime/io/checkpoint.hpp"
#include "runtime/io/element_type.hpp"

namespace moe_tune {

enum class MoeTensor { gate, gate_up_proj, down_proj, shared_gate_up_proj, shared_down_proj };
constexpr std::array all_moe_tensors = {MoeTensor::gate, MoeTensor::gate_up_proj, MoeTensor::down_proj,
                                        MoeTensor::shared_gate_up_proj, MoeTensor::shared_down_proj};

std::string_view to_string(MoeTensor tensor);

/// Shapes in memory, row-major: gate (E, H), gate_up_proj (L, 2 I, H), down_proj (L, H, I), shared_gate_up_proj (2 S, H),
/// shared_down_proj (H, S). L is the number of experts of the range, S the intermediate size of the shared expert.
struct MoeWeightsLayout {
  std::array<std::vector<std::int64_t>, all_moe_tensors.size()> shapes;  ///< no dimensions: the model has no such tensor

  const std::vector<std::int64_t>& shape(MoeTensor tensor) const { return shapes.at(static_cast<std::size_t>(tensor)); }
  std::size_t bytes(MoeTensor tensor, ElementType type) const;
};

/// Throws UsageError when the model has no such experts.
MoeWeightsLayout moe_weights_layout(const ModelShape& model, ExpertRange experts);

/// Takes `bytes` that belong at `offset` of a tensor. They are the caller's only during the call.
using WeightSink = std::function<void(MoeTensor tensor, std::size_t offset, std::span<const std::byte> bytes)>;

/// Hands every tensor of the layout over, in the order of MoeTensor, each from its first byte to its last in pieces of at most
/// 64 MiB: memory of the host stays bounded whatever the model. Elements become `type` (bf16, fp16 or fp32), rounded to
/// nearest, ties to even. Everything is found and its shape checked before the first piece.
///
/// Keys, after "", "model.", "language_model.model." or "model.language_model." and "layers.<layer>.":
///   Qwen3-MoE  mlp.gate.weight, mlp.experts.<e>.{gate,up,down}_proj.weight, or mlp.experts.{gate_up,down}_proj, (E, 2 I, H)
///              and (E, H, I)
///   Llama4     feed_forward.router.weight, feed_forward.shared_expert.{gate,up,down}_proj.weight,
///              feed_forward.experts.{gate_up,down}_proj, (E, H, 2 I) and (E, I, H), or as Qwen3-MoE one by one
///
/// Throws UsageError naming file and tensor: a layer that there is not or that is dense, a missing tensor, a shape that is not
/// config.json's, elements other than bf16, fp16 and fp32, or one that becomes infinite in `type`.
void read_moe_weights(const Checkpoint& checkpoint, int layer, ElementType type, ExpertRange experts, const WeightSink& sink);

/// Where `bytes` bytes at `offset` of a tensor can be read; needed until the next call. Null: they are not compared.
using WeightSource = std::function<const std::byte*(MoeTensor tensor, std::size_t offset, std::size_t bytes)>;

/// Compares weights, bit by bit, with what read_moe_weights() reads: where they differ first, for people, or nothing. Asks for
/// pieces as read_moe_weights() hands them over, and for none behind the first difference.
std::optional<std::string> check_moe_weights(const Checkpoint& checkpoint, int layer, ElementType type, ExpertRange experts,
                                             const WeightSource& weights);

}  // namespace moe_tune
