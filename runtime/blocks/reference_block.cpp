#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "moe_tune/error.hpp"
#include "moe_tune/moe_reference.hpp"
#include "runtime/blocks/load_weights.hpp"
#include "runtime/blocks/model_checks.hpp"
#include "runtime/blocks/reference_backward.hpp"
#include "runtime/blocks/reference_forward.hpp"

namespace moe_tune {

struct MoeReferenceBlock::State {
  WeightShapes shapes;
  int device;
  std::unique_ptr<ReferenceForward> forward;
  std::unique_ptr<ReferenceBackward> made_backward;  ///< by the first call of backward()
  MoeWeights weights;
  OwnedWeights owned;  ///< no tensors unless the block has weights of its own

  State(const ModelShape& config, TensorType type, int ordinal)
      : shapes{config, {0, config.E}, type},
        device(ordinal),
        forward(ordinal == cpu_device ? make_cpu_forward(config, type) : make_gpu_forward(config, type, ordinal)) {}

  ReferenceBackward& backward() {
    if (!made_backward) {
      made_backward = device == cpu_device ? make_cpu_backward(shapes.model, shapes.type)
                                           : make_gpu_backward(shapes.model, shapes.type, device);
    }
    return *made_backward;
  }

  void own(OwnedWeights of_block) {
    owned = std::move(of_block);
    weights = owned.addresses();
  }

  void require_weights() const {
    const bool shared = shapes.model.shared_expert_I > 0;
    if (weights.gate == nullptr || weights.gate_up_proj == nullptr || weights.down_proj == nullptr ||
        (shared && (weights.shared_gate_up_proj == nullptr || weights.shared_down_proj == nullptr))) {
      throw UsageError("reference block: a weight is null: give the block weights, or call copy_weights() first");
    }
  }

  /// The number of tokens.
  std::int64_t check(const OwnedTensor& hidden, const OwnedTensor* selected) const {
    const int H = shapes.model.H;
    if (!hidden || hidden.shape().back() != H)
      throw UsageError(fmt::format("reference block: the last dimension of hidden_states is not the hidden size, {}", H));
    if (hidden.type() != shapes.type || hidden.device() != device) {
      throw UsageError(
          fmt::format("reference block: hidden_states are {} on device {}; the block is {} on device {} (-1: the CPU)",
                      to_string(hidden.type()), hidden.device(), to_string(shapes.type), device));
    }
    const std::int64_t tokens = hidden.elements() / H;
    if (selected != nullptr) require("selected_experts", *selected, TensorType::int32, {tokens, shapes.model.top_k});
    return tokens;
  }

  void require(std::string_view name, const OwnedTensor& tensor, TensorType type, const std::vector<std::int64_t>& shape) const {
    if (tensor.type() == type && tensor.device() == device && tensor.shape() == shape) return;
    throw UsageError(fmt::format("reference block: {} is not a ({}) tensor of {} on device {} (-1: the CPU)", name,
                                 fmt::join(shape, ", "), to_string(type), device));
  }
};

MoeReferenceBlock::MoeReferenceBlock(const ModelShape& config, TensorType type, int device)
    : state_(std::make_unique<State>(config, type, device)) {}

MoeReferenceBlock::~MoeReferenceBlock() = default;
MoeReferenceBlock::MoeReferenceBlock(MoeReferenceBlock&&) noexcept = default;
MoeReferenceBlock& MoeReferenceBlock::operator=(MoeReferenceBlock&&) noexcept = default;

GroupedGemmResult MoeReferenceBlock::forward(const OwnedTensor& hidden_states, const OwnedTensor* selected_experts) {
  state_->require_weights();
  const std::int64_t tokens = state_->check(hidden_states, selected_experts);
  const void* selected = selected_experts == nullptr ? nullptr : selected_experts->data();
  GroupedGemmResult result = state_->forward->run(state_->weights, {hidden_states.data(), selected, tokens});
  result.hidden_states = std::move(result.hidden_states).reshaped(hidden_states.shape());
  return result;
}

GroupedGemmGradients MoeReferenceBlock::backward(const OwnedTensor& hidden_states, const OwnedTensor& d_out,
                                                 const OwnedTensor* d_router_logits, const OwnedTensor* selected_experts) {
  state_->require_weights();
  const std::int64_t tokens = state_->check(hidden_states, selected_experts);
  state_->require("d_out", d_out, type(), hidden_states.shape());
  if (d_router_logits != nullptr) state_->require("d_router_logits", *d_router_logits, type(), {tokens, config().E});
  GroupedGemmGradients result = state_->backward().run(
      state_->weights, {hidden_states.data(), selected_experts == nullptr ? nullptr : selected_experts->data(), tokens},
      {d_out.data(), d_router_logits == nullptr ? nullptr : d_router_logits->data()});
  result.d_hidden_states = std::move(result.d_hidden_states).reshaped(hidden_states.shape());
  return result;
}

const ModelShape& MoeReferenceBlock::config() const { return state_->shapes.model; }
const MoeWeights& MoeReferenceBlock::weights() const { return state_->weights; }
TensorType MoeReferenceBlock::type() const { return state_->shapes.type; }
int MoeReferenceBlock::device() const { return state_->device; }

OwnedWeights MoeReferenceBlock::extract_hf_weights(const std::filesystem::path& checkpoint, int layer,
                                                   std::optional<TensorType> type) {
  return moe_tune::load_weights(checkpoint, layer, checkpoint_shapes(checkpoint, type), cpu_device);
}

void MoeReferenceBlock::use_weights(const MoeWeights& weights) { state_->weights = weights; }

void MoeReferenceBlock::load_weights(const std::filesystem::path& checkpoint, int layer) {
  state_->own(moe_tune::load_weights(checkpoint, layer, state_->shapes, state_->device));
}

void MoeReferenceBlock::copy_weights(const MoeWeights& weights) {
  state_->own(moe_tune::copy_weights(weights, state_->shapes, state_->device));
}

void MoeReferenceBlock::check_weights(const std::filesystem::path& checkpoint, int layer) const {
  compare_weights(checkpoint, layer, state_->shapes, state_->weights, state_->device);
}

Qwen3MoeGroupedGemmBlock::Qwen3MoeGroupedGemmBlock(const ModelShape& config, TensorType type, const MoeWeights& weights,
                                                   int device)
    : MoeReferenceBlock((require_qwen3(config), config), type, device) {
  use_weights(weights);
}

Qwen3MoeGroupedGemmBlock Qwen3MoeGroupedGemmBlock::from_hf(const std::filesystem::path& checkpoint, int layer, int device,
                                                           std::optional<TensorType> type) {
  const WeightShapes shapes = checkpoint_shapes(checkpoint, type);
  Qwen3MoeGroupedGemmBlock block(shapes.model, shapes.type, {}, device);
  block.load_weights(checkpoint, layer);
  return block;
}

Llama4GroupedGemmTextMoe::Llama4GroupedGemmTextMoe(const ModelShape& config, TensorType type, const MoeWeights& weights,
                                                   int device)
    : MoeReferenceBlock((require_llama4(config), config), type, device) {
  use_weights(weights);
}

Llama4GroupedGemmTextMoe Llama4GroupedGemmTextMoe::from_hf(const std::filesystem::path& checkpoint, int layer, int device,
                                                           std::optional<TensorType> type) {
  const WeightShapes shapes = checkpoint_shapes(checkpoint, type);
  Llama4GroupedGemmTextMoe block(shapes.model, shapes.type, {}, device);
  block.load_weights(checkpoint, layer);
  return block;
}

}  // namespace moe_tune
