// The references of the row operations against results worked out by hand.
#include "runtime/reference/row_operations.hpp"

#include <catch2/catch.hpp>

#include <cmath>

#include "runtime/reference/half.hpp"

using namespace moe_tune;

namespace {

std::vector<std::uint16_t> rounded(const std::vector<float>& values, DType dtype) {
  std::vector<std::uint16_t> bits;
  for (const float value : values) bits.push_back(from_float(value, dtype));
  return bits;
}

}  // namespace

TEST_CASE("reference: rows are permuted up to the experts' last, and zeros for a bad index") {
  const std::vector<std::uint16_t> x = {1, 2, 99, 3, 4, 99};  // rows of 2, 3 apart
  const std::vector<int> slots = {3, 0, -1, 1};
  const std::vector<std::int64_t> m_sizes = {2, 0, 1};
  abi::PermuteRowsArgs args{};
  args.gemm.x = x.data();
  args.gemm.x_row_bytes = 6;
  args.gemm.gather_indices = slots.data();
  args.gemm.m_sizes = m_sizes.data();
  args.gemm.m_sizes_64 = 1;
  args.gemm.M = 4;
  args.E = 3;
  args.columns = 2;
  args.slots_per_row = 2;
  std::vector<std::uint16_t> rows(8, 77);
  CHECK(reference_permute_rows(DType::bf16, args, rows) == abi::status_bad_gather_index);
  CHECK(rows == std::vector<std::uint16_t>{3, 4, 1, 2, 0, 0, 77, 77});
  args.gemm.m_sizes = nullptr;
  reference_permute_rows(DType::bf16, args, rows);
  CHECK(rows == std::vector<std::uint16_t>{3, 4, 1, 2, 0, 0, 1, 2});
  const std::vector<std::int64_t> too_many = {2, 3, -1};
  args.gemm.m_sizes = too_many.data();
  CHECK(reference_permute_rows(DType::bf16, args, rows) == (abi::status_bad_gather_index | abi::status_bad_m_sizes));
}

TEST_CASE("reference: rows of a token are weighted and summed") {
  const auto rows = rounded({1, 2, 10, 20, 3, 4, 30, 40}, DType::bf16);
  const std::vector<float> weights = {0.5f, 2, 1, -1};
  abi::CombineRowsArgs args{};
  args.gemm.x = rows.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.M = 4;
  args.tokens = 2;
  args.top_k = 2;
  args.columns = 2;
  CHECK(reference_combine_rows(DType::bf16, args).out == std::vector<float>{11, 22, 33, 44});
  args.gemm.topk_weights = weights.data();
  args.gemm.topk_weights_f32 = 1;
  CHECK(reference_combine_rows(DType::bf16, args).out == std::vector<float>{20.5f, 41, -27, -36});
  // In expert order, one slot without a row, an addend.
  const std::vector<int> slot_rows = {3, -1, 0, 1};
  const auto addend = rounded({100, 200, 300, 400}, DType::bf16);
  args.slot_rows = slot_rows.data();
  args.expert_order = 1;
  args.addend = addend.data();
  args.addend_row_bytes = 4;
  CHECK(reference_combine_rows(DType::bf16, args).out == std::vector<float>{115, 220, 291, 382});
}

TEST_CASE("reference: scaled rows are rounded, each by the weight of its slot") {
  const auto x = rounded({1, 3, -2, 0.5f}, DType::bf16);
  const auto weights = rounded({2, 0.25f, 0, 1.0078125f}, DType::bf16);
  const std::vector<int> slots = {3, 0, 4, 1};
  abi::PermuteRowsArgs args{};
  args.gemm.x = x.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.gather_indices = slots.data();
  args.gemm.topk_weights = weights.data();
  args.gemm.M = 4;
  args.columns = 2;
  args.slots_per_row = 2;
  std::vector<std::uint16_t> rows(8, 77);
  CHECK(reference_permute_rows(DType::bf16, args, rows) == abi::status_bad_gather_index);
  CHECK(rows == rounded({-2.015625f, 0.50390625f, 2, 6, 0, 0, 0.25f, 0.75f}, DType::bf16));
}

TEST_CASE("reference: rows are stored where their slots say, but for a bad one") {
  const auto x = rounded({1, 3, -2, 0.5f}, DType::bf16);
  const auto weights = rounded({2, 0.25f, 9, 1.0078125f}, DType::bf16);
  const std::vector<int> slot_rows = {1, 3, -1, 0};
  abi::PermuteRowsArgs args{};
  args.gemm.x = x.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.M = 4;
  args.slot_rows = slot_rows.data();
  args.columns = 2;
  args.slots_per_row = 2;
  const auto before = rounded({77, 77, 77, 77, 77, 77, 77, 77}, DType::bf16);
  auto rows = before;
  CHECK(reference_permute_rows(DType::bf16, args, rows) == 0);
  CHECK(rows == rounded({-2, 0.5f, 1, 3, 77, 77, 1, 3}, DType::bf16));
  args.gemm.topk_weights = weights.data();
  reference_permute_rows(DType::bf16, args, rows);
  CHECK(rows == rounded({-2.015625f, 0.50390625f, 2, 6, 77, 77, 0.25f, 0.75f}, DType::bf16));
  const std::vector<int> past_end = {1, 4, -1, 0};
  args.slot_rows = past_end.data();
  rows = before;
  CHECK(reference_permute_rows(DType::bf16, args, rows) == abi::status_bad_gather_index);
  CHECK(rows == rounded({-2.015625f, 0.50390625f, 2, 6, 77, 77, 77, 77}, DType::bf16));
}

TEST_CASE("reference: rows go back to their slots, but for a bad one") {
  const std::vector<std::uint16_t> x = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<std::int64_t> slots = {2, -1, 0, 1};
  const std::vector<int> m_sizes = {1, 2};
  abi::UnpermuteRowsArgs args{};
  args.gemm.x = x.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.gather_indices = slots.data();
  args.gemm.gather_indices_64 = 1;
  args.gemm.m_sizes = m_sizes.data();
  args.gemm.M = 4;
  args.E = 2;
  args.columns = 2;
  std::vector<std::uint16_t> out(8, 77);
  CHECK(reference_unpermute_rows(args, out) == abi::status_bad_gather_index);
  CHECK(out == std::vector<std::uint16_t>{5, 6, 77, 77, 1, 2, 77, 77});
}

TEST_CASE("reference: SwiGLU of the rows that experts have") {
  const auto x = rounded({0, 2, 5, -3, 9, 9, 9, 9}, DType::fp16);  // gates, ups
  const std::vector<int> m_sizes = {0, 1};
  abi::ActAndMulArgs args{};
  args.gemm.x = x.data();
  args.gemm.x_row_bytes = 8;
  args.gemm.m_sizes = m_sizes.data();
  args.gemm.M = 2;
  args.E = 2;
  args.columns = 2;
  const ActAndMulReference result = reference_act_and_mul(DType::fp16, args);
  CHECK(result.status == 0);
  CHECK(result.defined_rows == std::vector<bool>{true, false});
  CHECK(result.out[0] == 0);
  CHECK(result.out[1] == Approx(-6 / (1 + std::exp(-2.0))));
}

TEST_CASE("reference: rows are added to the addend, where a slot has one and a token is there") {
  const auto rows = rounded({1, 2, 10, 20, 3, 4, 30, 40}, DType::bf16);
  const auto addend = rounded({100, 200, 300, 400}, DType::bf16);
  const std::vector<int> slot_rows = {3, -1, 1, 4};
  abi::CombineRowsArgs args{};
  args.gemm.x = rows.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.M = 4;
  args.addend = addend.data();
  args.addend_row_bytes = 4;
  args.slot_rows = slot_rows.data();
  args.tokens = 2;
  args.top_k = 2;
  args.columns = 2;
  CHECK(reference_combine_rows(DType::bf16, args).out == std::vector<float>{101, 202, 333, 444});
  CHECK(reference_combine_rows(DType::bf16, args).status == 0);
  args.expert_order = 1;
  CHECK(reference_combine_rows(DType::bf16, args).out == std::vector<float>{130, 240, 310, 420});
  CHECK(reference_combine_rows(DType::bf16, args).status == abi::status_bad_gather_index);
  const int one = 1;
  args.token_count = &one;
  CHECK(reference_combine_rows(DType::bf16, args).defined_rows == std::vector<bool>{true, false});
  const int too_many = 3;
  args.token_count = &too_many;
  CHECK((reference_combine_rows(DType::bf16, args).status & abi::status_bad_token_count) != 0);
}

TEST_CASE("reference: the gradient of SwiGLU is the slope of SwiGLU") {
  const auto swiglu = [](double gate, double up) { return gate / (1 + std::exp(-gate)) * up; };
  const auto gradient = rounded({0.5f, -2}, DType::fp16);
  const auto pre = rounded({1.5f, -0.75f, 3, -1.25f}, DType::fp16);  // gates, ups
  const auto weights = rounded({9, 0.25f}, DType::fp16);
  const std::vector<std::int64_t> slots = {1, 0};
  const std::vector<int> m_sizes = {1};
  abi::SwigluGradientArgs args{};
  args.gemm.x = gradient.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.pre_activation = const_cast<std::uint16_t*>(pre.data());
  args.gemm.pre_activation_row_bytes = 8;
  args.gemm.topk_weights = weights.data();
  args.gemm.gather_indices = slots.data();
  args.gemm.gather_indices_64 = 1;
  args.gemm.m_sizes = m_sizes.data();
  args.gemm.M = 2;
  args.E = 1;
  args.columns = 2;
  const SwigluGradientReference result = reference_swiglu_gradient(DType::fp16, args);
  CHECK(result.status == 0);
  CHECK(result.defined_rows == std::vector<bool>{true, false});
  CHECK(result.defined_slots == std::vector<bool>{false, true});
  constexpr double step = 1e-6;
  const double gates[] = {1.5, -0.75};
  const double ups[] = {3, -1.25};
  const double gradients[] = {0.5, -2};
  double sum = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const double by_gate = (swiglu(gates[i] + step, ups[i]) - swiglu(gates[i] - step, ups[i])) / (2 * step);
    const double by_up = (swiglu(gates[i], ups[i] + step) - swiglu(gates[i], ups[i] - step)) / (2 * step);
    CHECK(result.d_pre_activation[i] == Approx(0.25 * gradients[i] * by_gate));
    CHECK(result.d_pre_activation[2 + i] == Approx(0.25 * gradients[i] * by_up));
    CHECK(result.activation[i] == Approx(0.25 * swiglu(gates[i], ups[i])));
    sum += gradients[i] * swiglu(gates[i], ups[i]);
  }
  CHECK(result.d_topk_weights[1] == Approx(sum));
  CHECK(result.summed_size[1] >= std::abs(sum));
}

TEST_CASE("reference: with scaled rows the sum is the gradient by the logarithm of their weight") {
  // The loss sum(g * silu(w * gate) * (w * up)) of one row, whose pre_activation is w times (gate, up).
  const auto loss = [](double w) {
    const double g[] = {0.5, -2}, gate[] = {1.5, -0.75}, up[] = {3, -1.25};
    double sum = 0;
    for (int i = 0; i < 2; ++i) sum += g[i] * w * gate[i] / (1 + std::exp(-w * gate[i])) * w * up[i];
    return sum;
  };
  const auto gradient = rounded({0.5f, -2}, DType::fp16);
  const auto pre = rounded({0.75f, -0.375f, 1.5f, -0.625f}, DType::fp16);  // w = 0.5
  abi::SwigluGradientArgs args{};
  args.gemm.x = gradient.data();
  args.gemm.x_row_bytes = 4;
  args.gemm.pre_activation = const_cast<std::uint16_t*>(pre.data());
  args.gemm.pre_activation_row_bytes = 8;
  args.gemm.M = 1;
  args.columns = 2;
  const SwigluGradientReference plain = reference_swiglu_gradient(DType::fp16, args);
  args.scaled_input = 1;
  const SwigluGradientReference result = reference_swiglu_gradient(DType::fp16, args);
  CHECK(result.d_pre_activation == plain.d_pre_activation);
  CHECK(result.activation == plain.activation);
  constexpr double step = 1e-6;
  CHECK(result.d_topk_weights[0] == Approx((loss(0.5 * std::exp(step)) - loss(0.5 * std::exp(-step))) / (2 * step)));
  CHECK(result.summed_size[0] >= std::abs(result.d_topk_weights[0]));
}
