// The backward of the reference blocks on the golden fixtures, against float64.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/block_case.hpp"
#include "tests/support/golden_gradients.hpp"
#include "tests/support/reference_block.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Of every tensor of a backward, by what it is judged: gradients that a step makes out of whole rows by each row, dot products
/// by the size of their kind.
struct RowErrors {
  const GoldenCase& golden;
  const MoeBlockGradient& actual;
  const MoeBlockGradient& expected;

  void check() const {
    const ModelShape& m = golden.shape();
    const std::int64_t tokens = golden.tokens();
    by_row("d_hidden_states", actual.d_hidden_states, expected.d_hidden_states, m.H);
    by_row("d_gate", actual.d_gate, expected.d_gate, m.H);
    by_row("d_down_proj", actual.d_down_proj, expected.d_down_proj, m.I);
    by_matrix("d_gate_up_proj", actual.d_gate_up_proj, expected.d_gate_up_proj, 2 * m.I, m.H);
    by_row("d_shared_down_proj", actual.d_shared_down_proj, expected.d_shared_down_proj, m.shared_expert_I);
    by_matrix("d_shared_gate_up_proj", actual.d_shared_gate_up_proj, expected.d_shared_gate_up_proj, 2 * m.shared_expert_I, m.H);
    by_matrix("d_topk_weights", actual.d_topk_weights, expected.d_topk_weights, tokens, m.top_k);
    by_matrix("d_router_logits", actual.d_router_logits, expected.d_router_logits, tokens, m.E);
    by_row("d_second_gemm", first(actual.d_second_gemm, expected.d_second_gemm), expected.d_second_gemm, m.H);
    by_row("d_intermediate", first(actual.d_intermediate, expected.d_intermediate), expected.d_intermediate, m.I);
    by_row("d_first_gemm", first(actual.d_first_gemm, expected.d_first_gemm), expected.d_first_gemm, 2 * m.I);
  }

 private:
  /// Without the rows that no expert has.
  static std::vector<double> first(std::vector<double> values, const std::vector<double>& expected) {
    if (values.size() > expected.size()) values.resize(expected.size());
    return values;
  }

  void by_row(const char* what, const std::vector<double>& a, const std::vector<double>& b, int columns) const {
    judge(what, b.empty() && a.empty() ? 0 : worst_row(a, b, columns));
  }
  void by_matrix(const char* what, const std::vector<double>& a, const std::vector<double>& b, std::int64_t rows,
                 int columns) const {
    judge(what, b.empty() && a.empty() ? 0 : worst_row_of_matrices(a, b, rows, columns));
  }
  void judge(const char* what, double error) const {
    CAPTURE(what, error, gradient_tolerance(golden.dtype()));
    CHECK(error <= gradient_tolerance(golden.dtype()));
  }
};

void check_backward(const GoldenCase& golden, const std::vector<std::int32_t>& selected) {
  const MoeBlockGradient actual = on_host(reference_backward(golden, 0, selected));
  const MoeBlockGradient expected = expected_backward(golden, selected);
  RowErrors{golden, actual, expected}.check();
}

}  // namespace

TEST_CASE("reference backward: every tensor agrees with float64, and the gradients with transformers") {
  for (const std::string& name : golden_block_names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    check_backward(golden, golden_selection(golden));
    const double found = disagreement(golden, on_host(reference_backward(golden, 0, golden_selection(golden))));
    CAPTURE(found);
    CHECK(found <= gradient_tolerance(golden.dtype()));
  }
  CHECK_FALSE(Library::instance().status(0));
}

TEST_CASE("reference backward: a wrong weight, and a gradient of the logits left out, are seen") {
  for (const std::string name : {"qwen3_bf16", "llama4_bf16_top2"}) {
    CAPTURE(name);
    GoldenCase golden(name);
    const MoeBlockGradient actual = on_host(reference_backward(golden, 0, golden_selection(golden)));
    REQUIRE(golden.has("d_router_logits"));
    MoeBlockInputs inputs = golden.inputs();
    inputs.selected_experts = golden.selected_experts();
    const MoeBlockGradient without = reference_moe_block_gradient(inputs, golden.data("d_out"));
    const double tolerance = gradient_tolerance(golden.dtype());
    CHECK(worst_row(actual.d_gate, without.d_gate, golden.shape().H) > tolerance);
    const auto used = golden.weights().at("down_proj").size() / static_cast<std::size_t>(golden.shape().E) *
                      static_cast<std::size_t>(golden.selected_experts()[0]);
    golden.weights().at("down_proj")[used + 1] ^= std::byte{0x40};  // the judge's: a factor of 2^64 or so in one element
    const MoeBlockGradient other = expected_backward(golden, golden_selection(golden));
    CHECK(worst_row(actual.d_hidden_states, other.d_hidden_states, golden.shape().H) > tolerance);
  }
}

TEST_CASE("reference backward: an expert that does not exist has no row, and its weight no gradient") {
  for (const std::string name : {"qwen3_bf16", "llama4_bf16_top2"}) {
    CAPTURE(name);
    const GoldenCase golden(name);
    std::vector<std::int32_t> selected = golden_selection(golden);
    selected[5] = golden.shape().E;
    check_backward(golden, selected);
    CHECK(host_values(reference_backward(golden, 0, selected).d_topk_weights)[5] == 0);
    CHECK(Library::instance().status(0, true).bad_selected_expert);
  }
}

TEST_CASE("reference backward: without tokens the weights' gradients are zeros") {
  for (const std::string name : {"qwen3_bf16", "llama4_bf16"}) {
    CAPTURE(name);
    const GoldenCase golden(name);
    const OwnedTensor none(type_of(golden), {0, golden.shape().H}, 0);
    const MoeBlockGradient zeros =
        on_host(with_reference_block(golden, 0, [&](MoeReferenceBlock& block) { return block.backward(none, none); }));
    for (const std::vector<double>* values : {&zeros.d_gate, &zeros.d_gate_up_proj, &zeros.d_down_proj}) {
      CHECK_FALSE(values->empty());
      CHECK(std::all_of(values->begin(), values->end(), [](double value) { return value == 0; }));
    }
    CHECK(zeros.d_shared_down_proj.empty() == (golden.shape().shared_expert_I == 0));
    CHECK(norm(zeros.d_shared_gate_up_proj) == 0);
    CHECK(norm(zeros.d_shared_down_proj) == 0);
  }
}
