// The reference of the blocks: by hand on numbers, and what must hold whatever the numbers are.
#include "runtime/reference/moe_block.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "moe_tune/error.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/worst_row.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

double silu(double x) { return x / (1 + std::exp(-x)); }

/// Two tokens, three experts of H = 2, I = 1. Token 0 prefers expert 2, then 0; token 1 expert 1, then 2.
struct ByHand {
  ModelShape shape{"by hand", 3, 2, 2, 1, RouterKind::softmax_norm_topk, 0};
  std::vector<double> x = {1, 2, -1, 3};
  std::vector<double> gate = {1, 0, -1, 0.5, 0, 0.75};                 // logits 1, 0, 1.5 and -1, 2.5, 2.25
  std::vector<double> gate_up = {1, 1, 2, 0, 0, 1, 1, 1, 1, 0, 0, 2};  // of each expert a row for gate and one for up
  std::vector<double> down = {1, 2, 3, 4, 5, 6};
  std::vector<double> shared_gate_up = {0, 1, 1, 0};
  std::vector<double> shared_down = {10, 20};

  MoeBlockInputs inputs() const {
    MoeBlockInputs in;
    in.shape = shape;
    in.tokens = 2;
    in.dtype = in.rounding = Storage::float64;
    in.hidden_states = x.data();
    in.gate = gate.data();
    in.gate_up_proj = gate_up.data();
    in.down_proj = down.data();
    return in;
  }
};

void check_near(const std::vector<double>& values, const std::vector<double>& expected) {
  CHECK(worst_row(values, expected, static_cast<int>(expected.size())) < 1e-14);
}

std::vector<double> row(const std::vector<double>& values, std::int64_t index, int columns) {
  return TensorView{values.data(), Storage::float64}.row(index, columns);
}

bool all_nan(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
}

/// The share of experts [first, first + count).
MoeBlockInputs share_of(const GoldenCase& golden, int first, int count) {
  MoeBlockInputs in = golden.inputs();
  const std::ptrdiff_t matrix = std::ptrdiff_t{in.shape.H} * in.shape.I * (in.dtype == Storage::float32 ? 4 : 2);
  in.experts = {first, count};
  in.gate_up_proj = static_cast<const char*>(in.gate_up_proj) + first * 2 * matrix;
  in.down_proj = static_cast<const char*>(in.down_proj) + first * matrix;
  if (first > 0) in.shared_gate_up_proj = in.shared_down_proj = nullptr;
  return in;
}

}  // namespace

TEST_CASE("moe block: Qwen3 by hand") {
  const ByHand block;
  const MoeBlockResult r = reference_moe_block(block.inputs());
  check_near(r.router_logits, {1, 0, 1.5, -1, 2.5, 2.25});
  CHECK(r.selected_experts == std::vector<std::int32_t>{2, 0, 1, 2});
  const double w0 = 1 / (1 + std::exp(-0.5));
  const double w1 = 1 / (1 + std::exp(-0.25));
  check_near(r.topk_weights, {w0, 1 - w0, w1, 1 - w1});
  CHECK(r.token_counts_by_expert == std::vector<std::int64_t>{1, 1, 2});
  CHECK(r.gather_indices == std::vector<std::int32_t>{1, 2, 0, 3});
  check_near(r.routed_in, {1, 2, -1, 3, 1, 2, -1, 3});
  check_near(r.first_gemm, {3, 2, 3, 2, 1, 4, -1, 6});
  const std::vector<double> a = {silu(3) * 2, silu(3) * 2, silu(1) * 4, silu(-1) * 6};
  check_near(r.intermediate, a);
  check_near(r.second_gemm, {a[0], 2 * a[0], 3 * a[1], 4 * a[1], 5 * a[2], 6 * a[2], 5 * a[3], 6 * a[3]});
  check_near(r.hidden_states_unpermute, {5 * a[2], 6 * a[2], a[0], 2 * a[0], 3 * a[1], 4 * a[1], 5 * a[3], 6 * a[3]});
  check_near(r.hidden_states, {w0 * 5 * a[2] + (1 - w0) * a[0], w0 * 6 * a[2] + (1 - w0) * 2 * a[0],
                               w1 * 3 * a[1] + (1 - w1) * 5 * a[3], w1 * 4 * a[1] + (1 - w1) * 6 * a[3]});
  CHECK(r.hidden_states == r.hidden_states_after_weight_merge);
  CHECK(r.shared_expert_out.empty());
}

TEST_CASE("moe block: Llama4 by hand") {
  ByHand block;
  block.shape.router = RouterKind::sigmoid;
  block.shape.top_k = 1;
  block.shape.shared_expert_I = 1;
  MoeBlockInputs in = block.inputs();
  in.shared_gate_up_proj = block.shared_gate_up.data();
  in.shared_down_proj = block.shared_down.data();
  const MoeBlockResult r = reference_moe_block(in);
  CHECK(r.selected_experts == std::vector<std::int32_t>{2, 1});
  CHECK(r.gather_indices == std::vector<std::int32_t>{1, 0});
  const double s0 = 1 / (1 + std::exp(-1.5));
  const double s1 = 1 / (1 + std::exp(-2.5));
  check_near(r.topk_weights, {s0, s1});
  check_near(r.routed_in, {-s1, 3 * s1, s0, 2 * s0});
  check_near(r.first_gemm, {3 * s1, 2 * s1, s0, 4 * s0});
  const double a0 = silu(s0) * 4 * s0;
  const double a1 = silu(3 * s1) * 2 * s1;
  check_near(r.hidden_states_after_weight_merge, {5 * a0, 6 * a0, 3 * a1, 4 * a1});
  check_near(r.shared_first_gemm, {2, 1, 3, -1});
  check_near(r.shared_expert_out, {10 * silu(2), 20 * silu(2), -10 * silu(3), -20 * silu(3)});
  check_near(r.hidden_states, {5 * a0 + 10 * silu(2), 6 * a0 + 20 * silu(2), 3 * a1 - 10 * silu(3), 4 * a1 - 20 * silu(3)});
}

TEST_CASE("moe block: a token's result does not depend on the other tokens") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs in = golden.inputs();
    const MoeBlockResult all = reference_moe_block(in);
    in.tokens = 1;
    const MoeBlockResult one = reference_moe_block(in);
    CHECK(one.hidden_states == row(all.hidden_states, 0, in.shape.H));
    CHECK(one.topk_weights == row(all.topk_weights, 0, in.shape.top_k));
    CHECK(std::reduce(one.token_counts_by_expert.begin(), one.token_counts_by_expert.end()) == in.shape.top_k);
  }
}

TEST_CASE("moe block: no token is no work") {
  for (const std::string name : {"qwen3_bf16", "llama4_bf16"}) {
    const GoldenCase golden(name);
    MoeBlockInputs in = golden.inputs();
    in.tokens = 0;
    in.hidden_states = nullptr;
    const MoeBlockResult r = reference_moe_block(in);
    CHECK(r.hidden_states.empty());
    CHECK(r.gather_indices.empty());
    CHECK(r.token_counts_by_expert == std::vector<std::int64_t>(static_cast<std::size_t>(in.shape.E), 0));
  }
}

TEST_CASE("moe block: a row of NaN stays in its token") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs in = golden.inputs();
    const MoeBlockResult clean = reference_moe_block(in);
    const auto row_bytes = static_cast<std::size_t>(in.shape.H) * (in.dtype == Storage::float32 ? 4 : 2);
    const auto* bytes = static_cast<const char*>(in.hidden_states);
    std::vector<char> x(bytes, bytes + row_bytes * static_cast<std::size_t>(in.tokens));
    constexpr std::int64_t bad = 3;
    std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(bad * row_bytes), row_bytes, static_cast<char>(0xff));
    in.hidden_states = x.data();
    const MoeBlockResult r = reference_moe_block(in);
    for (std::int64_t token = 0; token < in.tokens; ++token) {
      const std::vector<double> out = row(r.hidden_states, token, in.shape.H);
      CHECK((token == bad ? all_nan(out) : out == row(clean.hidden_states, token, in.shape.H)));
    }
    CHECK(all_nan(row(r.topk_weights, bad, in.shape.top_k)));
    for (int c = 0; c < in.shape.top_k; ++c) CHECK(r.selected_experts[static_cast<std::size_t>(bad * in.shape.top_k + c)] == c);
  }
}

TEST_CASE("moe block: one expert takes all") {
  for (const std::string name : {"qwen3_bf16_top1_empty", "llama4_f32"}) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs in = golden.inputs();
    in.rounding = Storage::float64;
    const std::vector<std::int32_t> selection(static_cast<std::size_t>(in.tokens), 1);
    in.selected_experts = selection.data();
    const MoeBlockResult all = reference_moe_block(in);
    CHECK(all.token_counts_by_expert[1] == in.tokens);
    CHECK(std::is_sorted(all.gather_indices.begin(), all.gather_indices.end()));
    CHECK(all.hidden_states_unpermute == all.second_gemm);
    // The same as a model of that expert alone, but for the weight: a softmax over one is 1.
    MoeBlockInputs alone = share_of(golden, 1, 1);
    alone.rounding = Storage::float64;
    alone.selected_experts = selection.data();
    const MoeBlockResult share = reference_moe_block(alone);
    CHECK(share.second_gemm == all.second_gemm);
    CHECK(share.hidden_states_after_weight_merge == all.hidden_states_after_weight_merge);
  }
}

TEST_CASE("moe block: shares of local experts add up to the whole") {
  for (const std::string& name : GoldenCase::names()) {
    CAPTURE(name);
    const GoldenCase golden(name);
    MoeBlockInputs in = golden.inputs();
    in.rounding = Storage::float64;
    const MoeBlockResult whole = reference_moe_block(in);
    std::vector<double> sum(whole.hidden_states.size());
    std::vector<std::int64_t> counts;
    for (const auto& [first, count] : {std::pair{0, 1}, {1, 2}, {3, 0}}) {
      MoeBlockInputs share = share_of(golden, first, count);
      share.rounding = Storage::float64;
      const MoeBlockResult part = reference_moe_block(share);
      CHECK(part.topk_weights == whole.topk_weights);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part.hidden_states[i];
      counts.insert(counts.end(), part.token_counts_by_expert.begin(), part.token_counts_by_expert.end());
      for (const std::int32_t slot : part.gather_indices) {
        const int expert = whole.selected_experts[static_cast<std::size_t>(slot)];
        CHECK((expert >= first && (count == 0 || expert < first + count)));
      }
    }
    CHECK(counts == whole.token_counts_by_expert);
    CHECK(worst_row(sum, whole.hidden_states, in.shape.H) < 0x1p-45);
  }
}

TEST_CASE("moe block: an injected selection is taken, and a slot without an expert counts nothing") {
  const GoldenCase golden("qwen3_bf16");
  MoeBlockInputs in = golden.inputs();
  const MoeBlockResult own = reference_moe_block(in);
  std::vector<std::int32_t> selection = own.selected_experts;
  in.selected_experts = selection.data();
  CHECK(reference_moe_block(in).hidden_states == own.hidden_states);
  selection[0] = in.shape.E;
  selection[1] = -1;
  std::swap(selection[4], selection[5]);
  const MoeBlockResult r = reference_moe_block(in);
  CHECK(row(r.hidden_states, 0, in.shape.H) == std::vector<double>(static_cast<std::size_t>(in.shape.H), 0));
  CHECK(row(r.topk_weights, 0, 2) == std::vector<double>{0, 0});
  CHECK(r.gather_indices.size() == own.gather_indices.size() - 2);
  CHECK(row(r.hidden_states, 2, in.shape.H) == row(own.hidden_states, 2, in.shape.H));
  CHECK(row(r.topk_weights, 2, 2) == std::vector<double>{own.topk_weights[5], own.topk_weights[4]});
}

TEST_CASE("moe block: what cannot be is refused") {
  const ByHand block;
  const auto refused = [&](auto change) {
    MoeBlockInputs in = block.inputs();
    change(in);
    CHECK_THROWS_AS(reference_moe_block(in), UsageError);
  };
  refused([](MoeBlockInputs& in) { in.shape.top_k = 4; });
  refused([](MoeBlockInputs& in) { in.shape.H = 0; });
  refused([](MoeBlockInputs& in) { in.tokens = -1; });
  refused([](MoeBlockInputs& in) { in.tokens = std::int64_t{1} << 31; });
  refused([](MoeBlockInputs& in) { in.down_proj = nullptr; });
  refused([](MoeBlockInputs& in) { in.hidden_states = nullptr; });
  refused([](MoeBlockInputs& in) { in.shared_down_proj = in.down_proj; });
  refused([](MoeBlockInputs& in) { in.shared_down_proj = in.shared_gate_up_proj = in.down_proj; });
  refused([](MoeBlockInputs& in) { in.experts = {3, 0}; });
  refused([](MoeBlockInputs& in) { in.experts = {2, 2}; });
  refused([](MoeBlockInputs& in) { in.experts = {-1, 1}; });
}
