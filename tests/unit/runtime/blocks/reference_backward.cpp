// The backward of the reference blocks on the CPU.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "moe_tune/error.hpp"
#include "tests/support/golden_gradients.hpp"
#include "tests/support/reference_block.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

using Shape = std::vector<std::int64_t>;

std::vector<double> rounded(std::vector<double> values, Storage storage) {
  for (double& value : values) value = round_to(storage, value);
  return values;
}

}  // namespace

TEST_CASE("Reference backward: agrees with transformers on every fixture") {
  for (const std::string& name : GoldenCase::names()) {
    const GoldenCase golden(name);
    const MoeBlockGradient found = on_host(reference_backward(golden, cpu_device, golden_selection(golden)));
    CAPTURE(name, disagreement(golden, found), gradient_tolerance(golden.dtype()));
    CHECK(disagreement(golden, found) <= gradient_tolerance(golden.dtype()));
  }
}

TEST_CASE("Reference backward: every tensor is the reference's, rounded once, under its shape") {
  for (const std::string& name : GoldenCase::names()) {
    const GoldenCase golden(name);
    const ModelShape& m = golden.shape();
    const std::int64_t tokens = golden.tokens();
    const std::int64_t M = tokens * m.top_k;
    const GroupedGemmGradients gradients = reference_backward(golden, cpu_device, golden_selection(golden));
    const MoeBlockGradient expected = expected_backward(golden, golden_selection(golden));
    const auto check = [&](const char* what, const OwnedTensor& tensor, const std::vector<double>& values, const Shape& shape) {
      CAPTURE(name, what);
      CHECK(tensor.type() == type_of(golden));
      CHECK(tensor.shape() == shape);
      CHECK(host_values(tensor) == rounded(values, golden.dtype()));
    };
    check("d_hidden_states", gradients.d_hidden_states, expected.d_hidden_states, {1, tokens, m.H});
    check("d_topk_weights", gradients.d_topk_weights, expected.d_topk_weights, {tokens, m.top_k});
    check("d_router_logits", gradients.d_router_logits, expected.d_router_logits, {tokens, m.E});
    check("d_gate", gradients.d_gate, expected.d_gate, {m.E, m.H});
    check("d_gate_up_proj", gradients.d_gate_up_proj, expected.d_gate_up_proj, {m.E, 2 * m.I, m.H});
    check("d_down_proj", gradients.d_down_proj, expected.d_down_proj, {m.E, m.H, m.I});
    check("d_second_gemm", gradients.d_second_gemm, expected.d_second_gemm, {M, m.H});
    check("d_intermediate", gradients.d_intermediate, expected.d_intermediate, {M, m.I});
    check("d_first_gemm", gradients.d_first_gemm, expected.d_first_gemm, {M, 2 * m.I});
    if (m.shared_expert_I == 0) {
      CHECK_FALSE(gradients.d_shared_gate_up_proj);
      CHECK_FALSE(gradients.d_shared_down_proj);
      continue;
    }
    check("d_shared_gate_up_proj", gradients.d_shared_gate_up_proj, expected.d_shared_gate_up_proj, {2 * m.shared_expert_I, m.H});
    check("d_shared_down_proj", gradients.d_shared_down_proj, expected.d_shared_down_proj, {m.H, m.shared_expert_I});
  }
}

TEST_CASE("Reference backward: a slot without an expert has no row, and a call without tokens has zeros for the weights") {
  const GoldenCase golden("qwen3_bf16");
  const ModelShape& m = golden.shape();
  std::vector<std::int32_t> selected = golden_selection(golden);
  selected[5] = m.E;
  const GroupedGemmGradients gradients = reference_backward(golden, cpu_device, selected);
  CHECK(host_values(gradients.d_topk_weights)[5] == 0);
  CHECK(gradients.d_second_gemm.shape() == Shape{golden.tokens() * m.top_k - 1, m.H});
  const OwnedTensor none(TensorType::bf16, {2, 0, m.H});
  const GroupedGemmGradients zeros =
      with_reference_block(golden, cpu_device, [&](MoeReferenceBlock& block) { return block.backward(none, none); });
  CHECK(zeros.d_hidden_states.shape() == Shape{2, 0, m.H});
  CHECK(zeros.d_router_logits.shape() == Shape{0, m.E});
  const std::vector<double> d_down_proj = host_values(zeros.d_down_proj);
  CHECK(d_down_proj == std::vector<double>(static_cast<std::size_t>(m.E) * static_cast<std::size_t>(m.H * m.I)));
}

TEST_CASE("Reference backward: what it cannot take is an error") {
  const GoldenCase golden("qwen3_bf16");
  const int H = golden.shape().H;
  const int E = golden.shape().E;
  const OwnedTensor hidden(TensorType::bf16, {1, 3, H});
  const OwnedTensor d_out(TensorType::bf16, {1, 3, H});
  Qwen3MoeGroupedGemmBlock without_weights(golden.shape(), TensorType::bf16, {});
  CHECK_THROWS_WITH(without_weights.backward(hidden, d_out), Catch::Contains("copy_weights"));
  with_reference_block(golden, cpu_device, [&](MoeReferenceBlock& block) {
    CHECK_THROWS_WITH(block.backward(OwnedTensor(TensorType::bf16, {3, H - 1}), d_out), Catch::Contains("hidden size"));
    for (const OwnedTensor& wrong :
         {OwnedTensor(TensorType::bf16, {3, H}), OwnedTensor(TensorType::fp16, {1, 3, H}), OwnedTensor()}) {
      CHECK_THROWS_AS(block.backward(hidden, wrong), UsageError);
      CHECK_THROWS_WITH(block.backward(hidden, wrong), Catch::Contains("d_out is not a (1, 3, 64) tensor of bf16 on device -1"));
    }
    for (const OwnedTensor& wrong : {OwnedTensor(TensorType::bf16, {3, E + 1}), OwnedTensor(TensorType::fp32, {3, E})}) {
      CHECK_THROWS_WITH(block.backward(hidden, d_out, &wrong), Catch::Contains("d_router_logits"));
    }
    const OwnedTensor selected(TensorType::int32, {4, 2});
    CHECK_THROWS_WITH(block.backward(hidden, d_out, nullptr, &selected), Catch::Contains("selected_experts"));
    return 0;
  });
}
