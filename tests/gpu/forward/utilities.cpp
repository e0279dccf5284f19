// The utility kernels: random data as on the CPU, a reference that agrees with float64, a comparison that sees every fault.
#include "runtime/launch/utility_kernels.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "runtime/jit/driver.hpp"
#include "runtime/reference/grouped_gemm.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/pre_activation.hpp"
#include "runtime/reference/random.hpp"
#include "tests/gpu/support/gemm_case.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

Problem ragged_problem() { return {.dtype = DType::bf16, .E = 12, .N = 272, .K = 200, .top_k = 3}; }

/// A case whose y holds the reference, rounded as a kernel rounds it.
class ComparedCase {
 public:
  explicit ComparedCase(const CaseSpec& spec) : forward_(spec) {
    const std::vector<float> reference = forward_.download_reference();
    const std::vector<std::uint16_t> untouched = forward_.download_y();
    for (std::size_t i = 0; i < reference.size(); ++i) {
      y_.push_back(std::isnan(reference[i]) ? untouched[i] : from_float(reference[i], spec.problem.dtype));
    }
  }

  std::uint16_t& at(int row, int column) { return y_[std::size_t(row) * forward_.spec().problem.N + column]; }

  Comparison compare() {
    driver().cuMemcpyHtoD(reinterpret_cast<CUdeviceptr>(forward_.args().y), y_.data(), y_.size() * 2);
    return forward_.compare();
  }

 private:
  GemmCase forward_;
  std::vector<std::uint16_t> y_;
};

/// Compares the GPU's reference with float64 on the CPU; `args` with host pointers.
void check_reference(const Problem& problem, const abi::GroupedGemmArgs& args, const std::vector<float>& actual) {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> expected(std::size_t(args.M) * output_columns(problem), missing);
  REQUIRE(actual.size() == expected.size());
  reference_rows(problem, args, expected);
  // SwiGLU multiplies two sums of about unit size, and their errors.
  const double bound = (problem.fuse_swiglu ? 1e-5 : 2e-6) * std::sqrt(problem.K);
  int wrong = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i])) {
      wrong += !std::isnan(actual[i]);  // untouched: the poison is a NaN
    } else {
      wrong += !(std::abs(actual[i] - expected[i]) < bound);
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("utilities: random data has the CPU's bits") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const std::int64_t count : {1, 7, 8, 1000003}) {
      std::vector<std::uint16_t> expected(count);
      fill_random(expected, dtype, 0.037f, 5);
      DeviceBuffer buffer(count * 2 + 16);
      buffer.fill(0xff);
      Gpu::get().utilities().fill_random(buffer.address(), count, dtype, 0.037f, 5, nullptr);
      std::vector<std::uint16_t> actual(count + 8);
      buffer.download(actual.data(), actual.size() * 2);
      for (std::size_t i = static_cast<std::size_t>(count); i < actual.size(); ++i) CHECK(actual[i] == 0xffff);
      actual.resize(count);
      CHECK(actual == expected);
    }
  }
}

TEST_CASE("utilities: the reference agrees with float64 on the CPU") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int permutation : {0, 1, 2, 3, 4, 5}) {
      for (const int tokens : {1, 3, 64, 129}) {
        Problem problem = ragged_problem();
        problem.dtype = dtype;
        problem.permute_x = permutation == 1 || permutation >= 4;
        problem.permute_y = permutation == 2 || permutation == 3;
        problem.fuse_mul_post = permutation == 3;
        problem.fuse_mul_pre = problem.fuse_swiglu = permutation >= 4;
        problem.keep_pre_activation = permutation == 5;
        CaseSpec spec =
            tokens == 64 ? partial_case(problem, tokens) : routed_case(problem, tokens, {RoutingSpec::Kind::zipf, 1.0, 3});
        spec.m_sizes_64 = spec.gather_indices_64 = tokens % 2 == 1;
        spec.topk_weights_f32 = dtype == DType::bf16;
        spec.x_padding = 8 * permutation;
        spec.w_row_padding = 16;
        spec.w_expert_padding = 24;
        if (problem.permute_x || problem.permute_y) spec.gather_indices[0] = spec.M();  // a bad slot
        INFO(spec.describe());
        GemmCase forward(spec);

        const abi::GroupedGemmArgs inputs = forward.download_inputs();
        check_reference(problem, inputs, forward.download_reference());
        if (problem.keep_pre_activation) {
          check_reference(pre_activation_problem(problem), inputs, forward.download_pre_activation_reference());
        }
      }
    }
  }
}

TEST_CASE("utilities: the comparison accepts a rounded reference") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    Problem problem = ragged_problem();
    problem.dtype = dtype;
    problem.permute_y = true;
    const Comparison comparison = ComparedCase(partial_case(problem, 100)).compare();
    CHECK(comparison.pass());
    CHECK(comparison.first_bad_row == -1);
    CHECK(comparison.max_row_error > 0);
    CHECK(comparison.max_row_error <= row_tolerance(dtype));
    CHECK(comparison.max_element_error >= comparison.max_row_error);
    CHECK(comparison.expert_error.front() > 0);
    CHECK(comparison.expert_error.back() == 0);  // has no rows
  }
}

TEST_CASE("utilities: a wrong element of the kept pre-activation is seen when y is right") {
  Problem problem = ragged_problem();
  problem.fuse_swiglu = problem.keep_pre_activation = true;
  const GemmCase forward(partial_case(problem, 60));
  const auto rounded = [&](const std::vector<float>& reference, std::vector<std::uint16_t> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!std::isnan(reference[i])) values[i] = from_float(reference[i], problem.dtype);
    }
    return values;
  };
  const auto upload = [](void* target, const std::vector<std::uint16_t>& values) {
    driver().cuMemcpyHtoD(reinterpret_cast<CUdeviceptr>(target), values.data(), values.size() * 2);
  };
  upload(forward.args().y, rounded(forward.download_reference(), forward.download_y()));
  CHECK_FALSE(forward.compare().pass());
  auto kept = rounded(forward.download_pre_activation_reference(), forward.download_pre_activation());
  upload(forward.args().pre_activation, kept);
  CHECK(forward.compare().pass());
  kept[std::size_t{7} * problem.N + 3] = float_to_bf16(9.0f);
  upload(forward.args().pre_activation, kept);
  CHECK(forward.compare().bad_rows == 1);
  CHECK(forward.compare().first_bad_row == 7);
}

TEST_CASE("utilities: the comparison sees one wrong, missing, NaN or superfluous element") {
  const CaseSpec spec = partial_case(ragged_problem(), 100);
  std::int64_t defined = 0;
  for (const std::int64_t size : spec.m_sizes) defined += size;
  REQUIRE(defined > 50);
  REQUIRE(defined < spec.M());
  int row = 50;
  SECTION("wrong") {
    ComparedCase compared(spec);
    compared.at(row, 135) ^= 0x8000u;
    compared.at(row, 134) = float_to_bf16(3.0f);
    const Comparison comparison = compared.compare();
    CHECK(comparison.bad_rows == 1);
    CHECK(comparison.first_bad_row == row);
    CHECK(std::isfinite(comparison.max_row_error));
    CHECK(comparison.max_element_error > comparison.max_row_error);
  }
  SECTION("never written") {
    ComparedCase compared(spec);
    compared.at(row, 0) = 0xffff;
    const Comparison comparison = compared.compare();
    CHECK(comparison.bad_rows == 1);
    CHECK(comparison.first_bad_row == row);
    CHECK(std::isinf(comparison.max_row_error));
    CHECK(std::isinf(comparison.max_element_error));
  }
  SECTION("infinite") {
    ComparedCase compared(spec);
    compared.at(row, 77) = 0x7f80;
    CHECK(compared.compare().bad_rows == 1);
  }
  SECTION("written where no row is") {
    row = spec.M() - 1;
    ComparedCase compared(spec);
    compared.at(row, 3) = 0;
    const Comparison comparison = compared.compare();
    CHECK(comparison.bad_rows == 1);
    CHECK(comparison.first_bad_row == row);
    CHECK(std::isinf(comparison.max_row_error));
  }
}

TEST_CASE("utilities: a streaming read and the MMA loop run and end") {
  DeviceBuffer buffer(64 << 20);
  buffer.fill(1);
  const UtilityKernels& utilities = Gpu::get().utilities();
  for (const std::int64_t bytes : {0, 16, 4112, 64 << 20}) utilities.stream_read(buffer.address(), bytes, nullptr);
  const double flops = utilities.mma_ceiling(DType::bf16, 100, nullptr);
  CHECK(flops == 100.0 * 32 * 4096 * 8 * Gpu::get().sm_count());
  utilities.mma_ceiling(DType::fp16, 100, nullptr);
  driver().cuStreamSynchronize(nullptr);
}
