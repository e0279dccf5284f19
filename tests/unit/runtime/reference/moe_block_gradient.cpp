// The backward of the reference against transformers' own gradients: tests/golden.
#include "runtime/reference/moe_block_gradient.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "tests/support/golden.hpp"
#include "tests/support/worst_row.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

MoeBlockGradient gradient_of(const GoldenCase& golden, const MoeBlockInputs& inputs) {
  return reference_moe_block_gradient(inputs, golden.data("d_out"),
                                      golden.has("d_router_logits") ? golden.data("d_router_logits") : nullptr);
}

MoeBlockInputs with_their_selection(const GoldenCase& golden) {
  MoeBlockInputs inputs = golden.inputs();
  inputs.selected_experts = golden.selected_experts();
  return inputs;
}

double norm(std::span<const double> values) {
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

/// Like worst_row(), but against the root mean square of the rows of the expert, `rows` each: where silu is flat a row of
/// d_gate_up_proj is a difference of numbers that are far larger than itself. An expert of zeros must be zeros.
double worst_row_of_experts(const std::vector<double>& actual, const std::vector<double>& expected, int rows, int columns) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  const auto K = static_cast<std::size_t>(columns);
  const std::size_t matrix = static_cast<std::size_t>(rows) * K;
  double worst = 0;
  for (std::size_t at = 0; at < actual.size(); at += K) {
    std::vector<double> difference(K);
    for (std::size_t i = 0; i < K; ++i) difference[i] = actual[at + i] - expected[at + i];
    const double error = norm(difference);
    const double size = norm(std::span(expected).subspan(at / matrix * matrix, matrix)) / std::sqrt(rows);
    if (error != 0) worst = std::max(worst, std::isfinite(error / size) ? error / size : std::numeric_limits<double>::infinity());
  }
  return worst;
}

/// The worst of all gradients.
double disagreement(const GoldenCase& golden, const MoeBlockGradient& gradient) {
  const ModelShape& shape = golden.shape();
  const auto theirs = golden.weight_gradients();
  double worst = std::max({worst_row(gradient.d_hidden_states, golden.values("d_hidden_states"), shape.H),
                           worst_row(gradient.d_gate, theirs.at("gate"), shape.H),
                           worst_row(gradient.d_down_proj, theirs.at("down_proj"), shape.I),
                           worst_row_of_experts(gradient.d_gate_up_proj, theirs.at("gate_up_proj"), 2 * shape.I, shape.H)});
  if (shape.shared_expert_I > 0) {
    worst =
        std::max({worst, worst_row(gradient.d_shared_down_proj, theirs.at("shared_down_proj"), shape.I),
                  worst_row_of_experts(gradient.d_shared_gate_up_proj, theirs.at("shared_gate_up_proj"), 2 * shape.I, shape.H)});
  }
  return worst;
}

/// float32: as of the forward, for twice its products. 16 bits: some ten roundings on the way there and ten on the way back, half
/// a unit each, all of them pointing one way at the very worst.
double tolerance(Storage storage) {
  return storage == Storage::float32 ? 192 * unit_roundoff(storage) : 20 * unit_roundoff(storage);
}

}  // namespace

TEST_CASE("moe block gradient: agrees with transformers") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    const double found = disagreement(golden, gradient_of(golden, with_their_selection(golden)));
    CAPTURE(found, tolerance(golden.dtype()));
    CHECK(found <= tolerance(golden.dtype()));
  }
}

TEST_CASE("moe block gradient: one other weight, and a gradient of the logits left out, are seen") {
  for (const std::string name : {"qwen3_f32", "qwen3_f32_top1", "llama4_f32"}) {
    GoldenCase golden(name);
    const MoeBlockInputs inputs = with_their_selection(golden);
    CHECK(disagreement(golden, reference_moe_block_gradient(inputs, golden.data("d_out"))) > tolerance(golden.dtype()));
    for (auto& [tensor, bytes] : golden.weights()) {
      CAPTURE(name, tensor);
      const std::vector<std::byte> before = bytes;
      const auto used = tensor.starts_with("shared") ? 0
                                                     : bytes.size() / static_cast<std::size_t>(inputs.shape.E) *
                                                           static_cast<std::size_t>(golden.selected_experts()[0]);
      bytes[used + 3] ^= std::byte{1};  // a bit of the exponent
      CHECK(disagreement(golden, gradient_of(golden, inputs)) > tolerance(golden.dtype()));
      bytes = before;
    }
  }
}

TEST_CASE("moe block gradient: experts without tokens have zeros, and shares of local experts add up to the whole") {
  for (const std::string name : {"qwen3_bf16_top1_empty", "qwen3_bf16_top8", "llama4_bf16", "llama4_bf16_top2"}) {
    CAPTURE(name);
    const GoldenCase golden(name);
    const MoeBlockInputs inputs = golden.inputs();
    const MoeBlockGradient whole = gradient_of(golden, inputs);
    const auto matrix = static_cast<std::size_t>(inputs.shape.H) * static_cast<std::size_t>(inputs.shape.I);
    const std::vector<std::int64_t> counts = reference_moe_block(inputs).token_counts_by_expert;
    std::vector<double> d_hidden_states(whole.d_hidden_states.size());
    std::vector<double> d_gate(whole.d_gate.size());
    for (int expert = 0; expert < inputs.shape.E; ++expert) {
      const auto e = static_cast<std::size_t>(expert);
      MoeBlockInputs share = inputs;
      share.experts = {expert, 1};
      share.gate_up_proj = static_cast<const char*>(inputs.gate_up_proj) + e * 4 * matrix;
      share.down_proj = static_cast<const char*>(inputs.down_proj) + e * 2 * matrix;
      if (expert > 0) share.shared_gate_up_proj = share.shared_down_proj = nullptr;
      const MoeBlockGradient part = reference_moe_block_gradient(
          share, golden.data("d_out"), expert == 0 && golden.has("d_router_logits") ? golden.data("d_router_logits") : nullptr);
      const auto of_expert = [&](const std::vector<double>& all, std::size_t size) {
        return std::vector<double>(all.begin() + static_cast<std::ptrdiff_t>(e * size),
                                   all.begin() + static_cast<std::ptrdiff_t>((e + 1) * size));
      };
      CHECK(part.d_gate_up_proj == of_expert(whole.d_gate_up_proj, 2 * matrix));
      CHECK(part.d_down_proj == of_expert(whole.d_down_proj, matrix));
      CHECK((norm(part.d_down_proj) == 0) == (counts[e] == 0));
      CHECK((norm(part.d_gate_up_proj) == 0) == (counts[e] == 0));
      for (std::size_t i = 0; i < d_hidden_states.size(); ++i) d_hidden_states[i] += part.d_hidden_states[i];
      for (std::size_t i = 0; i < d_gate.size(); ++i) d_gate[i] += part.d_gate[i];
    }
    CHECK(worst_row(d_hidden_states, whole.d_hidden_states, inputs.shape.H) < 0x1p-40);
    CHECK(worst_row(d_gate, whole.d_gate, inputs.shape.H) < 0x1p-40);
  }
}

TEST_CASE("moe block gradient: a row of NaN spoils its own gradient and that of the weights it met") {
  const GoldenCase golden("qwen3_bf16");
  const MoeBlockInputs inputs = with_their_selection(golden);
  const auto H = static_cast<std::size_t>(inputs.shape.H);
  const auto* bits = static_cast<const std::uint16_t*>(golden.data("d_out"));
  std::vector<std::uint16_t> d_out(bits, bits + static_cast<std::size_t>(inputs.tokens) * H);
  std::fill_n(d_out.begin() + static_cast<std::ptrdiff_t>(5 * H), H, std::uint16_t{0xffff});
  const MoeBlockGradient clean = reference_moe_block_gradient(inputs, golden.data("d_out"));
  const MoeBlockGradient spoilt = reference_moe_block_gradient(inputs, d_out.data());
  for (std::size_t i = 0; i < spoilt.d_hidden_states.size(); ++i) {
    if (i / H == 5) {
      CHECK(std::isnan(spoilt.d_hidden_states[i]));
    } else {
      CHECK(spoilt.d_hidden_states[i] == clean.d_hidden_states[i]);
    }
  }
  const std::size_t matrix = H * static_cast<std::size_t>(inputs.shape.I);
  for (int expert = 0; expert < inputs.shape.E; ++expert) {
    const std::int32_t* chosen = golden.selected_experts() + std::ptrdiff_t{5} * inputs.shape.top_k;
    const bool met = std::find(chosen, chosen + inputs.shape.top_k, expert) != chosen + inputs.shape.top_k;
    CHECK(std::isnan(norm(std::span(spoilt.d_down_proj).subspan(static_cast<std::size_t>(expert) * matrix, matrix))) == met);
  }
}
