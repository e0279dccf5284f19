// What kernels make of a problem's N, K and permutations.
#pragma once

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// The rows of an operand that are loaded through gather_indices.
struct GatheredRows {
  bool any;           ///< false: all operands are in expert order
  int length;         ///< elements of such a row
  int slots_per_row;  ///< row gather_indices[r] / slots_per_row is loaded for row r
};

constexpr GatheredRows gathered_rows(const Problem& p) {
  switch (p.op) {
    case Op::forward:
      return {p.permute_x, p.K, p.top_k};
    case Op::dX:
      return {p.permute_y, p.N, 1};
    case Op::dW:
      return p.permute_y ? GatheredRows{true, p.N, 1} : GatheredRows{p.permute_x, p.K, p.top_k};
  }
  return {};
}

/// A forward or dX problem as its kernel sees it: token rows with their experts' weights (templates/schedule/rows_problem.cuh).
struct RowsGemm {
  int columns;             ///< of the product; with SwiGLU y has half of them
  int reduction;           ///< length of the rows that are loaded
  bool scatters;           ///< stores row r at gather_indices[r]
  bool weight_rows_are_k;  ///< the rows of an expert's weight run along the reduction; else along the columns
};

constexpr RowsGemm rows_gemm(const Problem& p) {
  if (p.op == Op::dX) return {p.K, p.N, p.permute_x, true};
  return {p.N, p.K, p.permute_y, false};
}

}  // namespace moe_tune
