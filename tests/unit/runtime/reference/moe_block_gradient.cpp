// The backward of the reference against transformers' own gradients: tests/golden.
#include "runtime/reference/moe_block_gradient.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <span>

#include "tests/support/golden_gradients.hpp"

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

/// Of a process that has these experts; the first has the shared expert and the gradient of the logits.
MoeBlockGradient share_of(const GoldenCase& golden, const MoeBlockInputs& whole, const ExpertRange& experts) {
  MoeBlockInputs share = whole;
  const std::int64_t bytes_before = std::int64_t{2} * experts.first * whole.shape.H * whole.shape.I;
  share.experts = experts;
  share.gate_up_proj = static_cast<const char*>(whole.gate_up_proj) + 2 * bytes_before;
  share.down_proj = static_cast<const char*>(whole.down_proj) + bytes_before;
  if (experts.first == 0) return gradient_of(golden, share);
  share.shared_gate_up_proj = share.shared_down_proj = nullptr;
  return reference_moe_block_gradient(share, golden.data("d_out"));
}

void add(std::vector<double>& sums, const std::vector<double>& values) {
  sums.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) sums[i] += values[i];
}

}  // namespace

TEST_CASE("moe block gradient: agrees with transformers") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    const double found = disagreement(golden, gradient_of(golden, with_their_selection(golden)));
    CAPTURE(found, gradient_tolerance(golden.dtype()));
    CHECK(found <= gradient_tolerance(golden.dtype()));
  }
}

TEST_CASE("moe block gradient: one other weight, and a gradient of the logits left out, are seen") {
  for (const std::string name : {"qwen3_f32", "qwen3_f32_top1", "llama4_f32"}) {
    GoldenCase golden(name);
    const MoeBlockInputs inputs = with_their_selection(golden);
    CHECK(disagreement(golden, reference_moe_block_gradient(inputs, golden.data("d_out"))) > gradient_tolerance(golden.dtype()));
    for (auto& [tensor, bytes] : golden.weights()) {
      CAPTURE(name, tensor);
      const std::vector<std::byte> before = bytes;
      const auto used = tensor.starts_with("shared") ? 0
                                                     : bytes.size() / static_cast<std::size_t>(inputs.shape.E) *
                                                           static_cast<std::size_t>(golden.selected_experts()[0]);
      bytes[used + 3] ^= std::byte{1};  // a bit of the exponent
      CHECK(disagreement(golden, gradient_of(golden, inputs)) > gradient_tolerance(golden.dtype()));
      bytes = before;
    }
  }
}

TEST_CASE("moe block gradient: experts without tokens have zeros, and shares of local experts add up to the whole") {
  for (const std::string name : {"qwen3_bf16_top1_empty", "qwen3_bf16_top8", "llama4_bf16", "llama4_bf16_top2"}) {
    const GoldenCase golden(name);
    const ModelShape& shape = golden.shape();
    const MoeBlockInputs inputs = with_their_selection(golden);
    const MoeBlockGradient whole = gradient_of(golden, inputs);
    const auto matrix = static_cast<std::size_t>(shape.H) * static_cast<std::size_t>(shape.I);
    const std::vector<std::int64_t> counts = reference_moe_block(inputs).token_counts_by_expert;
    for (const int most : {1, shape.E / 2 + 1}) {
      MoeBlockGradient sum;
      for (int first = 0; first < shape.E; first += most) {
        const int count = std::min(most, shape.E - first);
        CAPTURE(name, first, count);
        const MoeBlockGradient part = share_of(golden, inputs, {first, count});
        const auto of_experts = [&](const std::vector<double>& all, std::size_t size) {
          return std::vector<double>(all.begin() + first * static_cast<std::ptrdiff_t>(size),
                                     all.begin() + (first + count) * static_cast<std::ptrdiff_t>(size));
        };
        CHECK(part.d_gate_up_proj == of_experts(whole.d_gate_up_proj, 2 * matrix));
        CHECK(part.d_down_proj == of_experts(whole.d_down_proj, matrix));
        for (int expert = 0; expert < count; ++expert) {
          const bool none = counts[static_cast<std::size_t>(first + expert)] == 0;
          const auto e = static_cast<std::size_t>(expert);
          CHECK((norm(std::span(part.d_down_proj).subspan(e * matrix, matrix)) == 0) == none);
          CHECK((norm(std::span(part.d_gate_up_proj).subspan(e * 2 * matrix, 2 * matrix)) == 0) == none);
        }
        for (std::size_t slot = 0; slot < whole.d_topk_weights.size(); ++slot) {
          const int expert = golden.selected_experts()[slot];
          const bool local = expert >= first && expert < first + count;
          CHECK(part.d_topk_weights[slot] == (local ? whole.d_topk_weights[slot] : 0));
        }
        add(sum.d_hidden_states, part.d_hidden_states);
        add(sum.d_gate, part.d_gate);
        add(sum.d_router_logits, part.d_router_logits);
      }
      CHECK(worst_row(sum.d_hidden_states, whole.d_hidden_states, shape.H) < 0x1p-40);
      CHECK(worst_row(sum.d_gate, whole.d_gate, shape.H) < 0x1p-40);
      CHECK(worst_row(sum.d_router_logits, whole.d_router_logits, shape.E) < 0x1p-40);
    }
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
