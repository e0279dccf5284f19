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
      check(spec, PermuteOptions{});
      check(spec, PermuteOptions{.token_order = false});
      check(spec, PermuteOptions{.all_rows = true});
    }
  }
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int columns : {8, 264, 2056}) {
      for (const CaseSpec& spec : row_cases(row_problem(columns, dtype, 3))) {
        check(spec, PermuteOptions{.scaled = true});
        check(spec, PermuteOptions{.token_order = false, .scaled = true});
      }
    }
  }
}

/// The same with slot_rows.
template <class Check>
void for_each_spread(Check check) {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    // A chunk; a warp's chunks and one more; a piece; two pieces and one chunk.
    for (const int columns : {8, 264, 512, 1032}) {
      for (const int top_k : {1, 3, 8}) {
        for (const CaseSpec& spec : ragged_cases(row_problem(columns, dtype, top_k), 16)) {
          for (const SlotRows slot_rows : {SlotRows::all, SlotRows::some}) {
            check(spec, PermuteOptions{.scaled = true, .slot_rows = slot_rows});
            if (dtype == DType::bf16) check(spec, PermuteOptions{.slot_rows = slot_rows});
          }
          check(spec, PermuteOptions{.token_order = false, .scaled = true, .slot_rows = SlotRows::past_end});
          check(spec, PermuteOptions{.slot_rows = SlotRows::past_end});
        }
      }
    }
  }
  // A slot for every lane.
  Problem problem = row_problem(264, DType::bf16, abi::most_spread_slots);
  problem.E = 40;
  for (const bool scaled : {false, true})
    check(routed_case(problem, 19, {}), PermuteOptions{.scaled = scaled, .slot_rows = SlotRows::past_end});
}

/// The same of UnpermuteRowsCase.
template <class Check>
void for_each_way_back(Check check) {
  for (const int columns : {8, 264, 2056}) {
    for (const CaseSpec& spec : row_cases(row_problem(columns, DType::bf16))) {
      check(spec, false);
      check(spec, true);
    }
  }
}

/// The same of ActAndMulCase.
template <class Check>
void for_each_activation(Check check) {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    // A chunk; half a piece and one more; a piece; two, and one more.
    for (const int columns : {8, 264, 512, 1032}) {
      for (const CaseSpec& spec : row_cases(row_problem(columns, dtype))) {
        check(spec, false);
        check(spec, true);
      }
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
          check(spec, CombineOptions{});
          check(spec, CombineOptions{.weighted = false});
        }
      }
    }
    for (const int top_k : {1, 3, 11}) {
      for (const CaseSpec& spec : ragged_cases(row_problem(264, dtype, top_k), 4)) {
        check(spec, CombineOptions{.addend = true});
        check(spec, CombineOptions{.weighted = false, .addend = true, .in_place = true});
        for (const SlotRows slot_rows : {SlotRows::all, SlotRows::some}) {
          check(spec, CombineOptions{.slot_rows = slot_rows});
          check(spec, CombineOptions{.addend = true, .slot_rows = slot_rows, .expert_order = true});
        }
        check(spec, CombineOptions{.slot_rows = SlotRows::past_end, .expert_order = true});
        for (const int count : {0, 1, spec.tokens / 2, spec.tokens, -1, spec.tokens + 1}) {
          if (spec.tokens == 0) continue;  // no kernel runs that could report a count
          check(spec, CombineOptions{.addend = true, .slot_rows = SlotRows::some, .expert_order = true, .token_count = count});
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
        check(spec, SwigluOptions{.weighted = false, .scaled_input = true});
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
template <class Case>
void set_extreme_gates(Case& rows) {
  int row = 0;
  for (const float gate : {1e4f, -1e4f, 85.0f, -85.0f, 0.0f, -0.0f, 12.0f, -12.0f, -1.2784645f}) rows.set_gates(row++, gate);
}

}  // namespace moe_tune::test
