// Which calls of the row operations are tried, wherever kernels run.
#pragma once

#include <vector>

#include "tests/support/ragged_cases.hpp"
#include "tests/support/row_operation_cases.hpp"

namespace moe_tune::test {

/// `columns`: those that the operation reads.
inline Problem row_problem(int columns, DType dtype, int top_k = 2) {
  return {.dtype = dtype, .E = 12, .N = 8, .K = columns, .top_k = top_k};
}

/// Ragged rows of every kind, and bad indices and sizes.
inline std::vector<CaseSpec> row_cases(const Problem& problem) {
  std::vector<CaseSpec> cases = ragged_cases(problem, 16);
  const std::vector<CaseSpec> bad = bad_cases(problem);
  cases.insert(cases.end(), bad.begin(), bad.end());
  return cases;
}

/// Calls check() with the arguments of PermuteRowsCase that follow the device.
template <class Check>
void for_each_permutation(Check check) {
  // A chunk; a warp's chunks and one more; a piece but one chunk, a piece, one more and two pieces and one more.
  for (const int columns : {8, 264, 2040, 2048, 2056, 4104}) {
    for (const CaseSpec& spec : row_cases(row_problem(columns, DType::bf16, columns == 264 ? 3 : 2))) {
      check(spec, true, false);
      check(spec, false, false);
      check(spec, true, true);
    }
  }
}

/// The same of CombineRowsCase.
template <class Check>
void for_each_combination(Check check) {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int top_k : {1, 2, 3, 8, 11}) {
      for (const int columns : {8, 256, 520}) {
        for (const CaseSpec& spec : ragged_cases(row_problem(columns, dtype, top_k), 4)) {
          check(spec, true);
          check(spec, false);
        }
      }
    }
  }
}

/// The same of SwigluGradientCase: everything and in place, and without one of what is optional, and without all of it.
template <class Check>
void for_each_gradient(Check check) {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int columns : {8, 264, 776}) {
      for (const CaseSpec& spec : row_cases(row_problem(columns, dtype))) {
        for (const bool f32 : {true, false}) check(spec, SwigluOptions{.d_topk_weights_f32 = f32});
        check(spec, SwigluOptions{.in_place = true});
      }
    }
    for (const CaseSpec& spec : row_cases(row_problem(136, dtype))) {
      for (bool SwigluOptions::*part : {&SwigluOptions::gathered, &SwigluOptions::all_rows, &SwigluOptions::weighted,
                                        &SwigluOptions::activation, &SwigluOptions::d_topk_weights}) {
        SwigluOptions options;
        options.*part = !(options.*part);
        check(spec, options);
      }
      check(spec,
            SwigluOptions{.gathered = false, .all_rows = true, .weighted = false, .activation = false, .d_topk_weights = false});
    }
  }
}

/// Gives the first rows of a case with as many gates whose exponential overflows or vanishes.
inline void set_extreme_gates(SwigluGradientCase& gradient) {
  int row = 0;
  for (const float gate : {1e4f, -1e4f, 85.0f, -85.0f, 0.0f, -0.0f, 12.0f, -12.0f, -1.2784645f}) gradient.set_gates(row++, gate);
}

}  // namespace moe_tune::test
