#include "tools/random_block.hpp"

#include <cmath>
#include <utility>

#include "generator/support/checked.hpp"

namespace moe_tune::cli {

RandomBlock::RandomBlock(const BlockBench& options, Library& library, const UtilityKernels& utility, CUstream stream)
    : options_(options), utility_(utility), stream_(stream) {
  const ModelShape& m = options.model;
  MoeWeights weights;
  add_weight(weights.gate, gradients_.gate, {m.E, m.H});
  add_weight(weights.gate_up_proj, gradients_.gate_up_proj, {m.E, std::int64_t{2} * m.I, m.H});
  add_weight(weights.down_proj, gradients_.down_proj, {m.E, m.H, m.I});
  if (m.shared_expert_I > 0) {
    add_weight(weights.shared_gate_up_proj, gradients_.shared_gate_up_proj, {std::int64_t{2} * m.shared_expert_I, m.H});
    add_weight(weights.shared_down_proj, gradients_.shared_down_proj, {m.H, m.shared_expert_I});
  }
  if (m.router == RouterKind::sigmoid) {
    block_ = std::make_unique<Llama4FusedTextMoe>(library, m, options.dtype, weights, options.ordinal, options.block);
  } else {
    block_ = std::make_unique<Qwen3MoeFusedGroupedGemmBlock>(library, m, options.dtype, weights, options.ordinal, options.block);
  }
}

BlockCall RandomBlock::call(int tokens) {
  const std::int64_t counts[] = {tokens};
  if (options_.backward) {
    block_->prepare_training(counts);
  } else {
    block_->prepare(counts);
  }
  BlockCall call;
  const auto keep = [&call](DeviceBuffer buffer) {
    call.memory.push_back(std::move(buffer));
    return call.memory.back().get();
  };
  const std::vector<std::int64_t> shape = {tokens, options_.model.H};
  const std::size_t workspace_bytes =
      options_.backward ? block_->training_workspace_bytes(tokens) : block_->workspace_bytes(tokens);
  void* const hidden_states = keep(random(shape, 1.0));
  call.forward.hidden_states = hidden_states;
  call.forward.out = keep(DeviceBuffer(call.memory.front().bytes()));
  call.forward.tokens = tokens;
  call.forward.workspace = keep(DeviceBuffer(workspace_bytes));
  call.forward.workspace_bytes = workspace_bytes;
  if (!options_.backward) return call;
  call.forward.saved_bytes = block_->saved_bytes(tokens);
  call.forward.saved = keep(DeviceBuffer(call.forward.saved_bytes));
  call.backward.hidden_states = hidden_states;
  call.backward.d_out = keep(random(shape, 1.0));
  call.backward.d_hidden_states = keep(DeviceBuffer(call.memory.front().bytes()));
  call.backward.weights = gradients_;
  call.backward.tokens = tokens;
  call.backward.saved = call.forward.saved;
  call.backward.saved_bytes = call.forward.saved_bytes;
  call.backward.workspace = call.forward.workspace;
  call.backward.workspace_bytes = workspace_bytes;
  return call;
}

KernelConfig RandomBlock::config(Op op, Gemm gemm, int tokens) {
  return (options_.backward ? block_->training_selection(op, gemm, tokens) : block_->selection(gemm, tokens)).config;
}

DeviceBuffer RandomBlock::random(const std::vector<std::int64_t>& shape, double scale) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count = checked_mul(count, size, "elements of a tensor");
  DeviceBuffer buffer(static_cast<std::size_t>(checked_mul(count, element_bytes(options_.dtype), "bytes of a tensor")));
  utility_.fill_random(buffer.address(), count, options_.dtype, static_cast<float>(scale),
                       static_cast<std::uint32_t>(options_.seed) + ++filled_, stream_);
  return buffer;
}

void RandomBlock::add_weight(const void*& weight, void*& gradient, const std::vector<std::int64_t>& shape) {
  buffers_.push_back(random(shape, 1 / std::sqrt(static_cast<double>(shape.back()))));
  weight = buffers_.back().get();
  if (!options_.backward) return;
  buffers_.emplace_back(buffers_.back().bytes());
  gradient = buffers_.back().get();
}

}  // namespace moe_tune::cli
