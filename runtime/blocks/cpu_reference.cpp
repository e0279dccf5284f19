#include <algorithm>

#include "runtime/blocks/reference_forward.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/moe_block.hpp"

namespace moe_tune {

namespace {

Storage storage_of(TensorType type) {
  return type == TensorType::fp32 ? Storage::float32 : moe_tune::storage_of(storage_dtype(type));
}

/// Values that `type` has.
OwnedTensor tensor(TensorType type, const std::vector<double>& values, std::vector<std::int64_t> shape) {
  OwnedTensor result(type, std::move(shape));
  if (type == TensorType::fp32) {
    std::transform(values.begin(), values.end(), static_cast<float*>(result.data()),
                   [](double value) { return static_cast<float>(value); });
  } else {
    std::transform(values.begin(), values.end(), static_cast<std::uint16_t*>(result.data()),
                   [dtype = storage_dtype(type)](double value) { return from_float(static_cast<float>(value), dtype); });
  }
  return result;
}

template <class Integer>
OwnedTensor indices(const std::vector<Integer>& values, std::vector<std::int64_t> shape) {
  OwnedTensor result(TensorType::int32, std::move(shape));
  std::transform(values.begin(), values.end(), static_cast<std::int32_t*>(result.data()),
                 [](Integer value) { return static_cast<std::int32_t>(value); });
  return result;
}

class CpuForward : public ReferenceForward {
 public:
  CpuForward(const ModelShape& config, TensorType type) : config_(config), type_(type), storage_(storage_of(type)) {}

  GroupedGemmResult run(const MoeWeights& weights, const ReferenceInputs& given) override {
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
    return converted(reference_moe_block(inputs), given.tokens);
  }

 private:
  GroupedGemmResult converted(const MoeBlockResult& from, std::int64_t tokens) const {
    const std::int64_t rows = static_cast<std::int64_t>(from.gather_indices.size());
    const std::int64_t slots = tokens * config_.top_k;
    const auto of_type = [&](const std::vector<double>& values, std::int64_t first, std::int64_t columns) {
      return tensor(type_, values, {first, columns});
    };
    GroupedGemmResult to;
    to.router_logits = of_type(from.router_logits, tokens, config_.E);
    to.selected_experts = indices(from.selected_experts, {tokens, config_.top_k});
    to.topk_weights = of_type(from.topk_weights, tokens, config_.top_k);
    to.token_counts_by_expert = indices(from.token_counts_by_expert, {config_.E});
    to.gather_indices = indices(from.gather_indices, {rows});
    to.first_gemm = of_type(from.first_gemm, rows, std::int64_t{2} * config_.I);
    to.intermediate = of_type(from.intermediate, rows, config_.I);
    to.second_gemm = of_type(from.second_gemm, rows, config_.H);
    to.hidden_states_unpermute = of_type(from.hidden_states_unpermute, slots, config_.H);
    to.hidden_states = of_type(from.hidden_states, tokens, config_.H);
    if (config_.router == RouterKind::sigmoid)
      to.hidden_states_after_weight_merge = of_type(from.hidden_states_after_weight_merge, tokens, config_.H);
    if (config_.shared_expert_I > 0) to.shared_expert_out = of_type(from.shared_expert_out, tokens, config_.H);
    return to;
  }

  ModelShape config_;
  TensorType type_;
  Storage storage_;
};

}  // namespace

std::unique_ptr<ReferenceForward> make_cpu_forward(const ModelShape& config, TensorType type) {
  return std::make_unique<CpuForward>(config, type);
}

}  // namespace moe_tune
