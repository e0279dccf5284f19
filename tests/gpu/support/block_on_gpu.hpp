// A fused block on a GPU with the weights of a fixture, and the tensors of its calls.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moe_tune/moe_block.hpp"
#include "moe_tune/owned_tensor.hpp"
#include "runtime/launch/device_memory.hpp"
#include "tests/support/block_training.hpp"

namespace moe_tune::test {

/// A tensor's elements on the host.
inline std::vector<double> values_of(const OwnedTensor& tensor) {
  std::vector<std::uint16_t> bits(static_cast<std::size_t>(tensor.elements()));
  tensor.read(bits.data(), tensor.bytes());
  return unpacked(bits, storage_dtype(tensor.type()));
}

inline std::vector<std::int32_t> integers_of(const OwnedTensor& tensor) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.elements()));
  tensor.read(values.data(), tensor.bytes());
  return values;
}

class BlockOnGpu {
 public:
  explicit BlockOnGpu(const GoldenCase& golden, const FusedBlockOptions& options = {})
      : golden_(golden),
        tokens_(golden.tokens()),
        hidden_(tensor(golden.shape().H)),
        out_(tensor(golden.shape().H)),
        logits_(tensor(golden.shape().E)),
        topk_weights_(tensor(golden.shape().top_k)),
        selected_(TensorType::int32, {tokens_, golden.shape().top_k}, 0),
        count_(TensorType::int32, {1}, 0) {
    const ModelShape& shape = golden.shape();
    if (shape.router == RouterKind::sigmoid) {
      block_ = std::make_unique<Llama4FusedTextMoe>(library_, shape, dtype_of(golden), MoeWeights(), 0, options);
    } else {
      block_ = std::make_unique<Qwen3MoeFusedGroupedGemmBlock>(library_, shape, dtype_of(golden), MoeWeights(), 0, options);
    }
    block_->copy_weights(local_weights(golden, options));
    hidden_.write(golden.data("hidden_states"), hidden_.bytes());
  }

  Library& library() { return library_; }
  FusedMoeBlock& block() { return *block_; }

  /// The arguments of a call; its outputs are poison then.
  MoeForwardArgs args(const BlockCall& call) {
    for (OwnedTensor* output : {&out_, &logits_, &topk_weights_, &selected_}) poison(*output);
    if (call.inject) selected_.write(golden_.selected_experts(), selected_.bytes());
    if (call.token_count >= 0) count_.write(&call.token_count, sizeof(int));
    MoeForwardArgs args;
    args.hidden_states = hidden_.data();
    args.out = out_.data();
    args.router_logits = logits_.data();
    args.topk_weights = topk_weights_.data();
    args.selected_experts = selected_.data();
    args.inject_selection = call.inject;
    args.token_count = call.token_count >= 0 ? count_.data() : nullptr;
    args.tokens = tokens_;
    return args;
  }

  BlockOutputs run(const BlockCall& call) {
    const MoeForwardArgs forward = args(call);
    block_->forward(forward, nullptr);
    return outputs();
  }

  /// Memory of a training on the device.
  struct Training {
    OwnedTensor saved;
    OwnedTensor workspace;  ///< where the library's own is not used
    OwnedTensor d_out;
    OwnedTensor d_router_logits;
    std::map<std::string, OwnedTensor> gradients;
    MoeForwardArgs forward;
    MoeBackwardArgs backward;

    GradientBytes bytes() const {
      GradientBytes all;
      for (const auto& [name, tensor] : gradients) {
        all[name].resize(tensor.bytes());
        tensor.read(all[name].data(), tensor.bytes());
      }
      return all;
    }
  };

  /// The arguments of a training's calls; gradients and what is kept are poison. `own_workspace`: of the caller's, full of poison,
  /// instead of the library's.
  Training training(const TrainingCall& call, bool own_workspace = false) {
    const ModelShape& m = golden_.shape();
    Training t;
    t.saved = memory_of(block_->saved_bytes(tokens_));
    t.d_out = tensor(m.H);
    t.d_out.write(golden_.data("d_out"), t.d_out.bytes());
    t.d_router_logits = tensor(m.E);
    t.d_router_logits.write(incoming_d_router_logits(golden_), t.d_router_logits.bytes());
    for (const auto& [name, elements] : gradient_elements(golden_, call)) {
      const TensorType type = gradient_element_bytes(name, call) == 4 ? TensorType::fp32 : tensor_type(dtype_of(golden_));
      OwnedTensor gradient(type, {elements}, 0);
      poison(gradient);
      t.gradients.emplace(name, std::move(gradient));
    }
    t.forward = args(call.forward);
    t.forward.saved = t.saved.data();
    t.forward.saved_bytes = t.saved.bytes();
    t.backward.hidden_states = hidden_.data();
    t.backward.d_out = t.d_out.data();
    t.backward.d_router_logits = call.d_router_logits ? t.d_router_logits.data() : nullptr;
    place_gradients(t.backward,
                    [&](const char* name) { return t.gradients.contains(name) ? t.gradients.at(name).data() : nullptr; });
    t.backward.tokens = tokens_;
    t.backward.saved = t.saved.data();
    t.backward.saved_bytes = t.saved.bytes();
    if (!own_workspace) return t;
    t.workspace = memory_of(block_->training_workspace_bytes(tokens_));
    t.forward.workspace = t.backward.workspace = t.workspace.data();
    t.forward.workspace_bytes = t.backward.workspace_bytes = t.workspace.bytes();
    return t;
  }

  GradientBytes train(const TrainingCall& call, bool own_workspace = false) {
    Training t = training(call, own_workspace);
    for (int step = 0; step < call.steps; ++step) {
      block_->forward(t.forward, nullptr);
      if (own_workspace) poison(t.workspace);
      t.backward.accumulate = step > 0;
      block_->backward(t.backward, nullptr);
    }
    return t.bytes();
  }

  BlockOutputs outputs() const { return {bits_of(out_), bits_of(logits_), bits_of(topk_weights_), integers_of(selected_)}; }

  /// Gives all elements of a token's hidden states one bit pattern.
  void set_hidden_row(std::int64_t token, std::uint16_t bits) {
    const std::vector<std::uint16_t> row(static_cast<std::size_t>(hidden_.size(1)), bits);
    hidden_.write(row.data(), row.size() * 2, static_cast<std::size_t>(token) * row.size() * 2);
  }
  /// After args(): the expert of one slot.
  void set_selected(std::int64_t slot, std::int32_t expert) {
    selected_.write(&expert, sizeof expert, static_cast<std::size_t>(slot) * sizeof expert);
  }

 private:
  OwnedTensor tensor(std::int64_t columns) const { return {tensor_type(dtype_of(golden_)), {tokens_, columns}, 0}; }

  static void poison(OwnedTensor& tensor) {
    const std::vector<unsigned char> bytes(tensor.bytes(), 0xff);
    tensor.write(bytes.data(), bytes.size());
  }

  static OwnedTensor memory_of(std::size_t bytes) {
    OwnedTensor memory(TensorType::int32, {static_cast<std::int64_t>((bytes + 3) / 4)}, 0);
    poison(memory);
    return memory;
  }

  static std::vector<std::uint16_t> bits_of(const OwnedTensor& tensor) {
    std::vector<std::uint16_t> bits(static_cast<std::size_t>(tensor.elements()));
    tensor.read(bits.data(), tensor.bytes());
    return bits;
  }

  static MoeWeights local_weights(const GoldenCase& golden, const FusedBlockOptions& options) {
    const MoeBlockInputs in = golden.inputs();
    const auto from_first = [&](const void* weight, std::int64_t elements) {
      return static_cast<const char*>(weight) + options.experts.first * elements * 2;
    };
    const ModelShape& shape = golden.shape();
    return {in.gate, from_first(in.gate_up_proj, std::int64_t{2} * shape.I * shape.H),
            from_first(in.down_proj, std::int64_t{shape.H} * shape.I), in.shared_gate_up_proj, in.shared_down_proj};
  }

  const GoldenCase& golden_;
  std::int64_t tokens_;
  Library library_{LibraryOptions{}};
  std::unique_ptr<FusedMoeBlock> block_;
  OwnedTensor hidden_, out_, logits_, topk_weights_, selected_, count_;
};

}  // namespace moe_tune::test
