// Reference blocks on the golden fixtures: calls of their backward, and the results on the host.
#pragma once

#include <utility>
#include <vector>

#include "moe_tune/moe_reference.hpp"
#include "runtime/blocks/host_values.hpp"
#include "runtime/reference/moe_block_gradient.hpp"
#include "tests/support/golden.hpp"

namespace moe_tune::test {

inline TensorType type_of(const GoldenCase& golden) {
  if (golden.dtype() == Storage::float32) return TensorType::fp32;
  return golden.dtype() == Storage::bf16 ? TensorType::bf16 : TensorType::fp16;
}

/// A fixture's tensor, such as "hidden_states", under this shape.
inline OwnedTensor golden_tensor(const GoldenCase& golden, const std::string& name, std::vector<std::int64_t> shape, int device) {
  OwnedTensor tensor(type_of(golden), std::move(shape), device);
  tensor.write(golden.data(name), tensor.bytes());
  return tensor;
}

/// Calls use(block) with the reference block of the fixture's model and weights.
template <class Use>
auto with_reference_block(const GoldenCase& golden, int device, const Use& use) {
  const MoeBlockInputs in = golden.inputs();
  const auto prepared = [&](auto block) {
    block.copy_weights({in.gate, in.gate_up_proj, in.down_proj, in.shared_gate_up_proj, in.shared_down_proj});
    return use(block);
  };
  return golden.shape().router == RouterKind::sigmoid
             ? prepared(Llama4GroupedGemmTextMoe(golden.shape(), type_of(golden), {}, device))
             : prepared(Qwen3MoeGroupedGemmBlock(golden.shape(), type_of(golden), {}, device));
}

/// The backward for the fixture's gradients, of hidden states with a dimension before the tokens, on this selection.
inline GroupedGemmGradients reference_backward(const GoldenCase& golden, int device, const std::vector<std::int32_t>& selected) {
  const std::int64_t tokens = golden.tokens();
  const ModelShape& shape = golden.shape();
  const OwnedTensor hidden = golden_tensor(golden, "hidden_states", {1, tokens, shape.H}, device);
  const OwnedTensor d_out = golden_tensor(golden, "d_out", {1, tokens, shape.H}, device);
  const OwnedTensor selection = tensor_of_integers(selected, {tokens, shape.top_k}).to(device);
  OwnedTensor d_logits;
  if (golden.has("d_router_logits")) d_logits = golden_tensor(golden, "d_router_logits", {tokens, shape.E}, device);
  return with_reference_block(golden, device, [&](MoeReferenceBlock& block) {
    return block.backward(hidden, d_out, d_logits ? &d_logits : nullptr, &selection);
  });
}

/// What the float64 reference makes of the same, unrounded.
inline MoeBlockGradient expected_backward(const GoldenCase& golden, const std::vector<std::int32_t>& selected) {
  MoeBlockInputs inputs = golden.inputs();
  inputs.selected_experts = selected.data();
  return reference_moe_block_gradient(inputs, golden.data("d_out"),
                                      golden.has("d_router_logits") ? golden.data("d_router_logits") : nullptr);
}

inline std::vector<std::int32_t> golden_selection(const GoldenCase& golden) {
  return {golden.selected_experts(), golden.selected_experts() + golden.tokens() * golden.shape().top_k};
}

inline MoeBlockGradient on_host(const GroupedGemmGradients& g) {
  MoeBlockGradient values;
  values.d_hidden_states = host_values(g.d_hidden_states);
  values.d_gate = host_values(g.d_gate);
  values.d_gate_up_proj = host_values(g.d_gate_up_proj);
  values.d_down_proj = host_values(g.d_down_proj);
  values.d_shared_gate_up_proj = host_values(g.d_shared_gate_up_proj);
  values.d_shared_down_proj = host_values(g.d_shared_down_proj);
  values.d_topk_weights = host_values(g.d_topk_weights);
  values.d_router_logits = host_values(g.d_router_logits);
  values.d_second_gemm = host_values(g.d_second_gemm);
  values.d_intermediate = host_values(g.d_intermediate);
  values.d_first_gemm = host_values(g.d_first_gemm);
  return values;
}

}  // namespace moe_tune::test
