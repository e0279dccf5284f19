// The row operations on the emulated device: ragged rows, padded strides, bad data, every optional argument.
#include <catch2/catch.hpp>

#include <cmath>

#include "generator/templates.hpp"
#include "tests/support/emulated_row_device.hpp"
#include "tests/support/row_operation_matrix.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

const emulator::Kernel& kernel() {
  static const emulator::Kernel built(inline_template("kernels/row_operations.cuh"));
  return built;
}

/// Checks cases, each on a device of its own and under another schedule.
template <class Case>
auto check() {
  return [seed = std::uint64_t{0}](const CaseSpec& spec, const auto&... options) mutable {
    EmulatedRowDevice device(kernel(), seed++);
    CHECK(Case(device, spec, options...).run() == "");
  };
}

}  // namespace

TEST_CASE("emulator: permute_rows") { for_each_permutation(check<PermuteRowsCase>()); }
TEST_CASE("emulator: permute_rows by slot_rows") { for_each_spread(check<PermuteRowsCase>()); }
TEST_CASE("emulator: unpermute_rows") { for_each_way_back(check<UnpermuteRowsCase>()); }
TEST_CASE("emulator: act_and_mul") { for_each_activation(check<ActAndMulCase>()); }
TEST_CASE("emulator: combine_rows") { for_each_combination(check<CombineRowsCase>()); }
TEST_CASE("emulator: swiglu_gradient") { for_each_gradient(check<SwigluGradientCase>()); }

TEST_CASE("emulator: combine_rows keeps a NaN in its element") {
  const CaseSpec spec = routed_case(row_problem(264, DType::bf16, 3), 7, {});
  EmulatedRowDevice device(kernel(), 1);
  CombineRowsCase rows(device, spec, CombineOptions{});
  rows.spoil(3 * 4 + 2, 259);
  CHECK_THAT(rows.run(), Catch::Contains("out: row 4 has an error of inf"));
  for (int token = 0; token < 7; ++token) {
    for (int column = 0; column < 264; ++column) REQUIRE(rows.is_nan(token, column) == (token == 4 && column == 259));
  }
}

TEST_CASE("emulator: swiglu_gradient of gates whose exponential overflows or vanishes") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const bool scaled_input : {false, true}) {
      EmulatedRowDevice device(kernel(), 3);
      SwigluGradientCase rows(device, routed_case(row_problem(72, dtype), 9, {}),
                              {.weighted = !scaled_input, .scaled_input = scaled_input});
      set_extreme_gates(rows);
      for (const float value : rows.reference().d_pre_activation) REQUIRE(std::isfinite(value));
      CHECK(rows.run() == "");
    }
  }
}

TEST_CASE("emulator: act_and_mul of gates whose exponential overflows or vanishes") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    EmulatedRowDevice device(kernel(), 5);
    ActAndMulCase rows(device, routed_case(row_problem(72, dtype), 9, {}));
    set_extreme_gates(rows);
    CHECK(rows.run() == "");
  }
}

TEST_CASE("emulator: swiglu_gradient keeps a NaN in its row") {
  EmulatedRowDevice device(kernel(), 2);
  SwigluGradientCase rows(device, routed_case(row_problem(264, DType::bf16), 9, {}),
                          {.activation = false, .d_topk_weights = false});
  CHECK(rows.run() == "");
  rows.spoil(17, 263);
  CHECK_THAT(rows.run(), Catch::Contains("d_pre_activation: row 17 has an error of inf"));
}

TEST_CASE("emulator: reruns of the row operations give the same bits under every schedule") {
  const CaseSpec spec = routed_case(row_problem(776, DType::bf16), 21, {});
  std::vector<std::vector<std::vector<std::byte>>> results;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    EmulatedRowDevice device(kernel(), seed);
    SwigluGradientCase rows(device, spec, {});
    CHECK(rows.run() == "");
    results.push_back(rows.memory());
    CHECK(results.back() == results.front());
  }
}
