// The reference of the blocks against transformers' own results: tests/golden.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/reference/half.hpp"
#include "runtime/reference/moe_block.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/worst_row.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

struct Disagreement {
  double router_logits;  ///< of the worst row, as the others
  double topk_weights;
  double out;
  double changed_logits;  ///< share of the logits that have other bits
  double changed;         ///< the same of the outputs

  double largest() const { return std::max({router_logits, topk_weights, out}); }
};

double share_changed(const std::vector<double>& values, const std::vector<double>& before) {
  std::size_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) changed += values.at(i) != before[i];
  return static_cast<double>(changed) / static_cast<double>(before.size());
}

Disagreement compare(const GoldenCase& golden, const MoeBlockResult& result) {
  const ModelShape& shape = golden.shape();
  const std::vector<double> out = golden.values("out");
  const std::vector<double> logits = golden.values("router_logits");
  return {.router_logits = worst_row(result.router_logits, logits, shape.E),
          .topk_weights = worst_row(result.topk_weights, golden.values("topk_weights"), shape.top_k),
          .out = worst_row(result.hidden_states, out, shape.H),
          .changed_logits = share_changed(result.router_logits, logits),
          .changed = share_changed(result.hidden_states, out)};
}

/// How far a block may be from another one that rounds in the same places.
///
/// float32: a sum of K terms loses at most K - 1 units of roundoff of its terms' size, and no K here is above 96. In the norm of
/// a row errors of either sign add up to far less, which leaves room for the chain of three products.
///
/// 16 bits: both round sums that differ by what float32 loses. A sum that stands so near a boundary falls on the other side and
/// is off by one unit in the last place, two of roundoff. That happens to one in 1,000 (fp16) or 8,000 (bf16); the bound is that
/// of a row all of whose elements it happens to.
double tolerance(Storage storage) { return (storage == Storage::float32 ? 96 : 2) * unit_roundoff(storage); }

/// The share of outputs that may have other bits in 16-bit storage. Some 200 sums stand behind an output row, so a third of
/// fp16's rows have seen one that fell otherwise. Its share of an output is a fraction of the output's own unit, so an eighth of
/// the row at most follows it: 4%. A rounding left out, added or moved changes more than every tenth.
constexpr double allowed_changes = 0.05;
/// A logit is one such sum.
constexpr double allowed_changes_of_logits = 0.01;

bool agrees(const GoldenCase& golden, const MoeBlockResult& result) {
  const Disagreement found = compare(golden, result);
  if (golden.dtype() != Storage::float32 &&
      (found.changed > allowed_changes || found.changed_logits > allowed_changes_of_logits)) {
    return false;
  }
  return found.largest() <= tolerance(golden.dtype());
}

bool has_ties(const std::string& name) { return name.find("ties") != std::string::npos; }

std::vector<std::int32_t> selection_of(const GoldenCase& golden) {
  return {golden.selected_experts(), golden.selected_experts() + golden.tokens() * golden.shape().top_k};
}

}  // namespace

TEST_CASE("golden: there are cases of both models in every type") {
  CHECK(GoldenCase::names("_f32_").size() >= 5);
  CHECK(GoldenCase::names("_bf16_").size() >= 7);
  CHECK(GoldenCase::names("_f16_").size() >= 2);
  CHECK(GoldenCase::names("qwen3").size() >= 8);
  CHECK(GoldenCase::names("llama4").size() >= 6);
}

TEST_CASE("golden: the reference agrees with transformers") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs inputs = golden.inputs();
    if (has_ties(name)) inputs.selected_experts = golden.selected_experts();
    const MoeBlockResult result = reference_moe_block(inputs);
    CHECK(result.selected_experts == selection_of(golden));
    const Disagreement found = compare(golden, result);
    CAPTURE(found.router_logits, found.topk_weights, found.out, found.changed_logits, found.changed);
    CHECK(agrees(golden, result));
  }
}

TEST_CASE("golden: among equal logits other experts are chosen than transformers chose, but no smaller logit") {
  for (const std::string& name : GoldenCase::names("_ties_")) {
    CAPTURE(name);
    const GoldenCase golden(name);
    const MoeBlockResult result = reference_moe_block(golden.inputs());
    const std::vector<std::int32_t> theirs = selection_of(golden);
    const std::vector<double> logits = golden.values("router_logits");
    CHECK(result.selected_experts != theirs);
    for (std::size_t slot = 0; slot < theirs.size(); ++slot) {
      const std::size_t row = slot / static_cast<std::size_t>(golden.shape().top_k) * static_cast<std::size_t>(golden.shape().E);
      const double ours = logits[row + static_cast<std::size_t>(result.selected_experts[slot])];
      CHECK(ours == logits[row + static_cast<std::size_t>(theirs[slot])]);
    }
  }
}

TEST_CASE("golden: unrounded, the reference differs from transformers by what its roundings cost") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs inputs = golden.inputs();
    inputs.selected_experts = golden.selected_experts();
    inputs.rounding = Storage::float64;
    const double error = worst_row(golden.values("out"), reference_moe_block(inputs).hidden_states, golden.shape().H);
    // Logit, weight, scaled row, two halves of the first product, silu, activation, second product, weighted row and the sum
    // round once each, to half a unit at most; in a row they point every way, so the sum of all is far off.
    CHECK(error <= std::max(10 * unit_roundoff(golden.dtype()), tolerance(Storage::float32)));
    // The last rounding alone costs more than this.
    CHECK(error > unit_roundoff(golden.dtype()) / 4);
  }
}

TEST_CASE("golden: Llama4 scaled before and after the products is the same but for rounding") {
  for (const std::string& name : GoldenCase::names("llama4")) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs inputs = golden.inputs();
    inputs.selected_experts = golden.selected_experts();
    inputs.rounding = Storage::float64;
    const std::vector<double> exact = reference_moe_block(inputs).hidden_states;
    inputs.score_order = ScoreOrder::after_products;
    CHECK(worst_row(reference_moe_block(inputs).hidden_states, exact, golden.shape().H) < 0x1p-45);
    inputs.rounding = golden.dtype();
    const std::vector<double> after = reference_moe_block(inputs).hidden_states;
    CHECK(worst_row(after, exact, golden.shape().H) <= 10 * unit_roundoff(golden.dtype()));
    CHECK(after != golden.values("out"));
  }
}

TEST_CASE("golden: one other weight, one missing or one superfluous rounding is seen") {
  for (const std::string name : {"qwen3_f32", "qwen3_bf16", "qwen3_f16", "llama4_f32_top2", "llama4_bf16_top2"}) {
    GoldenCase golden(name);
    const int expert = golden.selected_experts()[0];
    const ModelShape& shape = golden.shape();
    for (auto& [tensor, bytes] : golden.weights()) {
      CAPTURE(name, tensor);
      const std::vector<std::byte> before = bytes;
      const int rows = tensor == "gate" ? 1 : tensor == "gate_up_proj" ? 2 * shape.I : shape.H;
      const std::size_t columns = static_cast<std::size_t>(tensor == "down_proj" ? shape.I : shape.H);
      const bool shared = tensor.starts_with("shared");
      const std::size_t index = shared ? 0 : static_cast<std::size_t>(expert) * static_cast<std::size_t>(rows) * columns;
      const double weight = TensorView{bytes.data(), golden.dtype()}.at(static_cast<std::int64_t>(index));
      if (golden.dtype() == Storage::float32) {
        const auto other = static_cast<float>(weight + 0.01);
        std::memcpy(&bytes[index * 4], &other, 4);
      } else {
        const DType dtype = golden.dtype() == Storage::bf16 ? DType::bf16 : DType::fp16;
        const std::uint16_t other = from_float(static_cast<float>(weight + 1), dtype);
        std::memcpy(&bytes[index * 2], &other, 2);
      }
      MoeBlockInputs inputs = golden.inputs();
      inputs.selected_experts = golden.selected_experts();
      CHECK(!agrees(golden, reference_moe_block(inputs)));
      bytes = before;
    }
    if (golden.dtype() == Storage::float32) continue;
    CAPTURE(name);
    MoeBlockInputs inputs = golden.inputs();
    inputs.rounding = Storage::float32;
    CHECK(!agrees(golden, reference_moe_block(inputs)));
    inputs.rounding = golden.dtype();
    inputs.score_order = ScoreOrder::after_products;
    CHECK(agrees(golden, reference_moe_block(inputs)) == (golden.shape().router != RouterKind::sigmoid));
  }
}
