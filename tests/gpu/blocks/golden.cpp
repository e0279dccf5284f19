// The fused and the reference blocks on the golden fixtures.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "moe_tune/moe_block.hpp"
#include "moe_tune/moe_reference.hpp"
#include "tests/gpu/support/block_on_gpu.hpp"
#include "tests/support/block_case.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

TEST_CASE("golden: fused blocks agree with float64 in every way to work") {
  for_each_block_call([](const GoldenCase& golden, const std::string& name, const BlockCall& call) {
    INFO(name << " " << call.describe());
    BlockOnGpu block(golden, call.options);
    CHECK(judge_block(golden, name, call, block.run(call)) == "");
    CHECK_FALSE(block.library().status(0));
  });
}

TEST_CASE("golden: the check sees a wrong weight") {
  GoldenCase golden("qwen3_bf16");
  const BlockCall call;
  BlockOnGpu block(golden, call.options);
  golden.weights().at("down_proj")[1] ^= std::byte{0x40};  // the judge's: a factor of 2^64 or so in one element
  CHECK_THAT(judge_block(golden, "qwen3_bf16", call, block.run(call)), Catch::Contains("out: a row is wrong"));
}

TEST_CASE("golden: a selection without an expert adds nothing to a reference block's output") {
  const GoldenCase golden("qwen3_bf16");
  const ModelShape& shape = golden.shape();
  const MoeBlockInputs inputs = golden.inputs();
  OwnedTensor hidden(TensorType::bf16, {golden.tokens(), shape.H});
  hidden.write(inputs.hidden_states, hidden.bytes());
  OwnedTensor selected(TensorType::int32, {golden.tokens(), shape.top_k});
  selected.write(golden.selected_experts(), selected.bytes());
  selected.write(&shape.E, sizeof(int), 5 * sizeof(int));
  const auto run = [&](int device) {
    Qwen3MoeGroupedGemmBlock block(shape, TensorType::bf16, {}, device);
    block.copy_weights({inputs.gate, inputs.gate_up_proj, inputs.down_proj, nullptr, nullptr});
    const OwnedTensor selection = selected.to(device);
    return values_of(block.forward(hidden.to(device), &selection).hidden_states);
  };
  // Fills the memory that the block gets next with NaN.
  {
    OwnedTensor poison(TensorType::bf16, {golden.tokens() * shape.top_k, shape.H}, 0);
    const std::vector<unsigned char> bytes(poison.bytes(), 0xff);
    poison.write(bytes.data(), bytes.size());
  }
  CHECK(worst_row(run(0), run(cpu_device), shape.H) <= block_tolerance(golden.values("router_logits"), DType::bf16));
  CHECK(Library::instance().status(0, true).bad_selected_expert);
}

TEST_CASE("golden: reference blocks on the GPU have the CPU's intermediates") {
  for (const std::string& name : golden_block_names()) {
    INFO(name);
    const GoldenCase golden(name);
    const ModelShape& shape = golden.shape();
    const TensorType type = tensor_type(dtype_of(golden));
    const MoeBlockInputs inputs = golden.inputs();
    const MoeWeights weights{inputs.gate, inputs.gate_up_proj, inputs.down_proj, inputs.shared_gate_up_proj,
                             inputs.shared_down_proj};
    OwnedTensor hidden(type, {golden.tokens(), shape.H});
    hidden.write(inputs.hidden_states, hidden.bytes());
    OwnedTensor selected(TensorType::int32, {golden.tokens(), shape.top_k});
    selected.write(golden.selected_experts(), selected.bytes());
    const auto run = [&](int device) {
      const auto forward = [&](auto block) {
        block.copy_weights(weights);
        const OwnedTensor selection = selected.to(device);
        return block.forward(hidden.to(device), &selection);
      };
      return shape.router == RouterKind::sigmoid ? forward(Llama4GroupedGemmTextMoe(shape, type, {}, device))
                                                 : forward(Qwen3MoeGroupedGemmBlock(shape, type, {}, device));
    };
    const GroupedGemmResult on_cpu = run(cpu_device);
    const GroupedGemmResult on_gpu = run(0);
    const auto rows_agree = [&](const char* what, const OwnedTensor& actual, const OwnedTensor& expected) {
      INFO(what);
      REQUIRE(actual.shape() == expected.shape());
      const int columns = static_cast<int>(expected.shape().back());
      const double error = worst_row(values_of(actual), values_of(expected), columns);
      CHECK(error <= block_tolerance(golden.values("router_logits"), dtype_of(golden)));
    };
    const auto same = [&](const char* what, const OwnedTensor& actual, const OwnedTensor& expected) {
      INFO(what);
      CHECK(integers_of(actual) == integers_of(expected));
    };
    same("selected_experts", on_gpu.selected_experts, on_cpu.selected_experts);
    same("token_counts_by_expert", on_gpu.token_counts_by_expert, on_cpu.token_counts_by_expert);
    same("gather_indices", on_gpu.gather_indices, on_cpu.gather_indices);
    rows_agree("router_logits", on_gpu.router_logits, on_cpu.router_logits);
    rows_agree("topk_weights", on_gpu.topk_weights, on_cpu.topk_weights);
    rows_agree("first_gemm", on_gpu.first_gemm, on_cpu.first_gemm);
    rows_agree("intermediate", on_gpu.intermediate, on_cpu.intermediate);
    rows_agree("second_gemm", on_gpu.second_gemm, on_cpu.second_gemm);
    rows_agree("hidden_states_unpermute", on_gpu.hidden_states_unpermute, on_cpu.hidden_states_unpermute);
    rows_agree("hidden_states", on_gpu.hidden_states, on_cpu.hidden_states);
    if (shape.router != RouterKind::sigmoid) continue;
    rows_agree("hidden_states_after_weight_merge", on_gpu.hidden_states_after_weight_merge,
               on_cpu.hidden_states_after_weight_merge);
    rows_agree("shared_expert_out", on_gpu.shared_expert_out, on_cpu.shared_expert_out);
  }
}
