#include "runtime/blocks/host_values.hpp"
#include "runtime/blocks/reference_backward.hpp"
#include "runtime/blocks/reference_forward.hpp"
#include "runtime/reference/moe_block_gradient.hpp"

namespace moe_tune {

namespace {

/// A block of the reference, and tensors of its results.
class CpuBlock {
 public:
  CpuBlock(const ModelShape& config, TensorType type) : config_(config), type_(type), storage_(storage_of(type)) {}

  const ModelShape& config() const { return config_; }

  MoeBlockInputs inputs(const MoeWeights& weights, const ReferenceInputs& given) const {
    MoeBlockInputs inputs;
    inputs.shape = config_;
    inputs.tokens = given.tokens;
    inputs.dtype = inputs.rounding = storage_;
    inputs.hidden_states = given.hidden_states;
    inputs.gate = weights.gate;
    inputs.gate_up_proj = weights.gate_up_proj;
    inputs.down_proj = weights.down_proj;
    inputs.shared_gate_up_proj = weights.shared_gate_up_proj;
    inputs.shared_down_proj = weights.shared_down_proj;
    inputs.selected_experts = static_cast<const std::int32_t*>(given.selected_experts);
    return inputs;
  }

  OwnedTensor tensor(const std::vector<double>& values, std::vector<std::int64_t> shape) const {
    return tensor_of(type_, values, std::move(shape));
  }
  /// As many rows as there are.
  OwnedTensor rows(const std::vector<double>& values, std::int64_t columns) const {
    return tensor(values, {static_cast<std::int64_t>(values.size()) / columns, columns});
  }

 private:
  ModelShape config_;
  TensorType type_;
  Storage storage_;
};

class CpuForward : public ReferenceForward {
 public:
  explicit CpuForward(const CpuBlock& block) : block_(block) {}

  GroupedGemmResult run(const MoeWeights& weights, const ReferenceInputs& given) override {
    const ModelShape& config = block_.config();
    const MoeBlockResult from = reference_moe_block(block_.inputs(weights, given));
    GroupedGemmResult to;
    to.router_logits = block_.rows(from.router_logits, config.E);
    to.selected_experts = tensor_of_integers(from.selected_experts, {given.tokens, config.top_k});
    to.topk_weights = block_.rows(from.topk_weights, config.top_k);
    to.token_counts_by_expert = tensor_of_integers(from.token_counts_by_expert, {config.E});
    to.gather_indices = tensor_of_integers(from.gather_indices, {static_cast<std::int64_t>(from.gather_indices.size())});
    to.first_gemm = block_.rows(from.first_gemm, std::int64_t{2} * config.I);
    to.intermediate = block_.rows(from.intermediate, config.I);
    to.second_gemm = block_.rows(from.second_gemm, config.H);
    to.hidden_states_unpermute = block_.rows(from.hidden_states_unpermute, config.H);
    to.hidden_states = block_.rows(from.hidden_states, config.H);
    if (config.router == RouterKind::sigmoid)
      to.hidden_states_after_weight_merge = block_.rows(from.hidden_states_after_weight_merge, config.H);
    if (config.shared_expert_I > 0) to.shared_expert_out = block_.rows(from.shared_expert_out, config.H);
    return to;
  }

 private:
  CpuBlock block_;
};

class CpuBackward : public ReferenceBackward {
 public:
  explicit CpuBackward(const CpuBlock& block) : block_(block) {}

  GroupedGemmGradients run(const MoeWeights& weights, const ReferenceInputs& given, const ReferenceOutputGradients& d) override {
    const ModelShape& config = block_.config();
    const int I = config.I;
    const int H = config.H;
    const MoeBlockGradient from = reference_moe_block_gradient(block_.inputs(weights, given), d.out, d.router_logits);
    GroupedGemmGradients to;
    to.d_hidden_states = block_.rows(from.d_hidden_states, H);
    to.d_topk_weights = block_.rows(from.d_topk_weights, config.top_k);
    to.d_router_logits = block_.rows(from.d_router_logits, config.E);
    to.d_gate = block_.rows(from.d_gate, H);
    to.d_gate_up_proj = block_.tensor(from.d_gate_up_proj, {config.E, std::int64_t{2} * I, H});
    to.d_down_proj = block_.tensor(from.d_down_proj, {config.E, H, I});
    if (config.shared_expert_I > 0) {
      to.d_shared_gate_up_proj = block_.rows(from.d_shared_gate_up_proj, H);
      to.d_shared_down_proj = block_.rows(from.d_shared_down_proj, config.shared_expert_I);
    }
    to.d_second_gemm = block_.rows(from.d_second_gemm, H);
    to.d_intermediate = block_.rows(from.d_intermediate, I);
    to.d_first_gemm = block_.rows(from.d_first_gemm, std::int64_t{2} * I);
    return to;
  }

 private:
  CpuBlock block_;
};

}  // namespace

std::unique_ptr<ReferenceForward> make_cpu_forward(const ModelShape& config, TensorType type) {
  return std::make_unique<CpuForward>(CpuBlock(config, type));
}

std::unique_ptr<ReferenceBackward> make_cpu_backward(const ModelShape& config, TensorType type) {
  return std::make_unique<CpuBackward>(CpuBlock(config, type));
}

}  // namespace moe_tune
