#include "runtime/reference/grouped_gemm.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/reference/comparison.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/pre_activation.hpp"
#include "runtime/reference/random.hpp"

using namespace moe_tune;

namespace {

constexpr float untouched = -12345.0f;

/// Host tensors of a forward problem. W is contiguous; rows of x may be wider than K.
struct Tensors {
  Problem problem;
  int M = 0;
  int x_stride = 0;  ///< elements
  std::vector<std::uint16_t> x;
  std::vector<std::uint16_t> w;
  std::vector<std::int32_t> m_sizes;
  std::vector<std::int32_t> gather_indices;
  std::vector<float> topk_weights;

  abi::GroupedGemmArgs args() const {
    abi::GroupedGemmArgs args = {};
    args.x = x.data();
    args.w = w.data();
    args.m_sizes = m_sizes.data();
    args.gather_indices = gather_indices.data();
    args.topk_weights = topk_weights.data();
    args.w_expert_bytes = 2LL * problem.N * problem.K;
    args.x_row_bytes = 2 * x_stride;
    args.w_row_bytes = 2 * problem.K;
    args.M = M;
    args.topk_weights_f32 = 1;
    return args;
  }

  template <class Real = float>
  std::vector<Real> run(unsigned expected_status = 0) const {
    std::vector<Real> output(static_cast<std::size_t>(M) * output_columns(problem), untouched);
    CHECK(reference_rows(problem, args(), std::span<Real>(output), 2) == expected_status);
    return output;
  }

  /// The first element of each row of the output.
  std::vector<float> first_column(unsigned expected_status = 0) const {
    const std::vector<float> output = run(expected_status);
    std::vector<float> column(M);
    for (int row = 0; row < M; ++row) column[row] = output[static_cast<std::size_t>(row) * output_columns(problem)];
    return column;
  }
};

/// 3 tokens of top_k = 2, 3 experts. Token t is (t + 1) in column 0 and 0 elsewhere; expert e multiplies by 10^e in row 0 of its
/// weight: y[., 0] of a row is (token + 1) * 10^expert. Sorted rows: expert 0: slots 0, 5; expert 1: none; expert 2: 1, 2, 3, 4.
Tensors small_case() {
  Tensors t;
  t.problem.E = 3;
  t.problem.N = 8;
  t.problem.K = 8;
  t.problem.top_k = 2;
  t.M = 6;
  t.x_stride = 8;
  t.w.assign(3 * 8 * 8, 0);
  for (int e = 0; e < 3; ++e) t.w[e * 64] = float_to_bf16(std::pow(10.0f, static_cast<float>(e)));
  t.m_sizes = {2, 0, 4};
  t.gather_indices = {0, 5, 1, 2, 3, 4};
  t.topk_weights = {0.5f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
  return t;
}

void put_tokens(Tensors& t, int rows) {
  t.x.assign(static_cast<std::size_t>(rows) * t.x_stride, 0);
  for (int row = 0; row < rows; ++row)
    t.x[static_cast<std::size_t>(row) * t.x_stride] = float_to_bf16(static_cast<float>(row + 1));
}

}  // namespace

TEST_CASE("reference: rows in expert order meet their expert's weight") {
  Tensors t = small_case();
  put_tokens(t, 6);
  CHECK(t.first_column() == std::vector<float>{1, 2, 300, 400, 500, 600});
}

TEST_CASE("reference: permute_x reads the token of the slot") {
  Tensors t = small_case();
  t.problem.permute_x = true;
  put_tokens(t, 3);
  CHECK(t.first_column() == std::vector<float>{1, 3, 100, 200, 200, 300});
}

TEST_CASE("reference: permute_y stores at the slot") {
  Tensors t = small_case();
  t.problem.permute_y = true;
  put_tokens(t, 6);
  CHECK(t.first_column() == std::vector<float>{1, 300, 400, 500, 600, 2});
}

TEST_CASE("reference: fuse_mul_post scales by the weight of the slot, float32 or of the dtype") {
  Tensors t = small_case();
  t.problem.permute_y = true;
  t.problem.fuse_mul_post = true;
  put_tokens(t, 6);
  CHECK(t.first_column() == std::vector<float>{0.5f, 600, 1200, 2000, 3000, 12});

  std::vector<std::uint16_t> half_weights;
  for (const float weight : t.topk_weights) half_weights.push_back(float_to_bf16(weight));
  abi::GroupedGemmArgs args = t.args();
  args.topk_weights = half_weights.data();
  args.topk_weights_f32 = 0;
  std::vector<float> output(6 * 8);
  CHECK(reference_rows(t.problem, args, std::span<float>(output)) == 0);
  CHECK(output == t.run());
}

TEST_CASE("reference: fuse_mul_pre scales by the weight of the slot that the row is gathered for") {
  Tensors t = small_case();
  t.problem.permute_x = true;
  t.problem.fuse_mul_pre = true;
  put_tokens(t, 3);
  CHECK(t.first_column() == std::vector<float>{0.5f, 18, 200, 600, 800, 1500});
  t.gather_indices[1] = 6;
  CHECK(t.first_column(abi::status_bad_gather_index) == std::vector<float>{0.5f, 0, 200, 600, 800, 1500});
}

TEST_CASE("reference: fuse_swiglu multiplies silu of the gate, the first half of the columns, with up, the second") {
  Tensors t = small_case();
  t.problem.N = 16;
  t.problem.fuse_swiglu = t.problem.keep_pre_activation = true;
  t.w.assign(3 * 16 * 8, 0);
  for (std::size_t e = 0; e < 3; ++e) {
    t.w[e * 128 + 1 * 8] = float_to_bf16(0.25f);       // column 1: gate = token / 4
    t.w[e * 128 + (8 + 1) * 8] = float_to_bf16(3.0f);  // and up = 3 * token
    t.w[e * 128 + 2 * 8] = float_to_bf16(-128.0f);     // column 2: a gate whose exp overflows
    t.w[e * 128 + (8 + 2) * 8] = float_to_bf16(1.0f);
  }
  put_tokens(t, 6);
  const auto silu = [](double gate) { return gate / (1 + std::exp(-gate)); };
  for (const bool scaled : {false, true}) {
    t.problem.permute_x = t.problem.fuse_mul_pre = scaled;
    const std::vector<float> output = t.run();
    const std::vector<double> judged = t.run<double>();
    REQUIRE(output.size() == 6 * 8);
    for (std::size_t row = 0; row < 6; ++row) {
      const auto slot = static_cast<std::size_t>(t.gather_indices[row]);
      const double token = scaled ? static_cast<double>(slot / 2 + 1) * t.topk_weights[slot] : static_cast<double>(row + 1);
      CHECK(output[row * 8] == 0);
      CHECK(output[row * 8 + 1] == Approx(silu(0.25 * token) * 3 * token));
      CHECK(judged[row * 8 + 1] == Approx(silu(0.25 * token) * 3 * token).epsilon(1e-12));
      CHECK(std::abs(output[row * 8 + 2]) < 1e-9f);
    }
  }
}

TEST_CASE("reference: the pre-activation is the y of its own call") {
  Problem problem{.E = 3,
                  .N = 16,
                  .K = 8,
                  .top_k = 2,
                  .permute_x = true,
                  .fuse_mul_pre = true,
                  .fuse_swiglu = true,
                  .keep_pre_activation = true};
  const Problem products = pre_activation_problem(problem);
  CHECK_NOTHROW(validate(products));
  CHECK(output_columns(products) == 16);
  CHECK(products.fuse_mul_pre);
  abi::GroupedGemmArgs args = {};
  int kept = 0;
  args.pre_activation = &kept;
  args.pre_activation_row_bytes = 48;
  CHECK(pre_activation_args(args).y == &kept);
  CHECK(pre_activation_args(args).y_row_bytes == 48);
}

TEST_CASE("comparison: of two outputs the worse counts") {
  const Comparison good{.max_row_error = 0.25, .max_element_error = 1, .expert_error = {0.25, 0}};
  const Comparison bad{
      .max_row_error = 0.5, .max_element_error = 0.75, .bad_rows = 2, .first_bad_row = 3, .expert_error = {0, 0.5}};
  for (const Comparison& both : {worst_of(good, bad), worst_of(bad, good)}) {
    CHECK(both.max_row_error == 0.5);
    CHECK(both.max_element_error == 1);
    CHECK(both.bad_rows == 2);
    CHECK(both.first_bad_row == 3);
    CHECK(both.expert_error == std::vector<double>{0.25, 0.5});
    CHECK_FALSE(both.pass());
  }
  CHECK(worst_of(good, good).pass());
  CHECK(worst_of(bad, {.bad_rows = 1, .first_bad_row = 1, .expert_error = {0, 0}}).first_bad_row == 1);
}

TEST_CASE("reference: rows past the sum of m_sizes are left alone") {
  Tensors t = small_case();
  t.m_sizes = {2, 0, 1};
  put_tokens(t, 6);
  CHECK(t.first_column() == std::vector<float>{1, 2, 300, untouched, untouched, untouched});
}

TEST_CASE("reference: bad m_sizes are cut and reported") {
  Tensors t = small_case();
  put_tokens(t, 6);
  t.m_sizes = {-5, 2, 100};
  CHECK(t.first_column(abi::status_bad_m_sizes) == std::vector<float>{10, 20, 300, 400, 500, 600});
  t.m_sizes = {4, 4, 1};
  CHECK(t.first_column(abi::status_bad_m_sizes) == std::vector<float>{1, 2, 3, 4, 50, 60});
}

TEST_CASE("reference: a bad slot reads as zeros or is not stored, and is reported") {
  Tensors t = small_case();
  t.gather_indices = {0, 6, 1, -1, 3, 4};
  SECTION("permute_x") {
    t.problem.permute_x = true;
    put_tokens(t, 3);
    CHECK(t.first_column(abi::status_bad_gather_index) == std::vector<float>{1, 0, 100, 0, 200, 300});
  }
  SECTION("permute_y") {
    t.problem.permute_y = true;
    put_tokens(t, 6);
    CHECK(t.first_column(abi::status_bad_gather_index) == std::vector<float>{1, 300, untouched, 500, 600, untouched});
  }
}

TEST_CASE("reference: 64-bit indices and wide rows give the same result") {
  Tensors t = small_case();
  t.problem.permute_x = true;
  put_tokens(t, 3);
  const std::vector<float> expected = t.run();

  t.x_stride = 24;
  put_tokens(t, 3);
  for (std::size_t i = 0; i < t.x.size(); ++i) {
    if (i % 24 >= 8) t.x[i] = 0x7fff;  // NaN between the rows
  }
  const std::vector<std::int64_t> m_sizes(t.m_sizes.begin(), t.m_sizes.end());
  const std::vector<std::int64_t> gather_indices(t.gather_indices.begin(), t.gather_indices.end());
  abi::GroupedGemmArgs args = t.args();
  args.m_sizes = m_sizes.data();
  args.m_sizes_64 = 1;
  args.gather_indices = gather_indices.data();
  args.gather_indices_64 = 1;
  std::vector<float> output(6 * 8);
  CHECK(reference_rows(t.problem, args, std::span<float>(output)) == 0);
  CHECK(output == expected);
}

TEST_CASE("reference: float32 stays close to float64 and both are bilinear") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Tensors t;
    t.problem = {.dtype = dtype, .E = 5, .N = 40, .K = 264};
    t.M = 37;
    t.x_stride = t.problem.K;
    t.x.resize(static_cast<std::size_t>(t.M) * t.x_stride);
    t.w.resize(static_cast<std::size_t>(t.problem.E) * t.problem.N * t.problem.K);
    fill_random(t.x, dtype, 1.0f, 1);
    fill_random(t.w, dtype, 1.0f, 2);
    t.m_sizes = {7, 0, 1, 20, 9};
    const std::vector<float> single = t.run<float>();
    const std::vector<double> judged = t.run<double>();
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < single.size(); ++i) {
      error += (single[i] - judged[i]) * (single[i] - judged[i]);
      norm += judged[i] * judged[i];
    }
    CHECK(norm / static_cast<double>(single.size()) == Approx(t.problem.K).epsilon(0.2));
    CHECK(std::sqrt(error / norm) < 1e-6);

    // Doubling x doubles every result exactly.
    for (std::uint16_t& bits : t.x) bits = from_float(2 * to_float(bits, dtype), dtype);
    const std::vector<double> doubled = t.run<double>();
    for (std::size_t i = 0; i < judged.size(); ++i) CHECK(doubled[i] == 2 * judged[i]);
  }
}

TEST_CASE("reference: NaN stays in its row") {
  Tensors t = small_case();
  put_tokens(t, 6);
  t.x[3 * 8 + 5] = 0x7fff;
  const std::vector<float> output = t.run();
  for (int row = 0; row < 6; ++row) {
    for (int column = 0; column < 8; ++column) CHECK(std::isnan(output[row * 8 + column]) == (row == 3));
  }
}

TEST_CASE("reference: no rows, and an output of the wrong size") {
  Tensors t = small_case();
  t.M = 0;
  t.m_sizes = {0, 0, 0};
  CHECK(t.run().empty());
  std::vector<float> output(7);
  CHECK_THROWS_AS(reference_rows(t.problem, t.args(), std::span<float>(output)), UsageError);
}
