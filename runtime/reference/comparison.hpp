// How outputs are judged: row by row against a float32 reference. A norm over the whole output would hide a dead expert.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_tune/problem.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// What the comparison of an output with the float32 reference found. Errors are relative to the row: for row r,
/// |y - ref|_2 / |ref|_2, and the largest element error over the row's root mean square, all beyond rounding_of_subnormals(). NaN
/// or an unwritten element fails, and so does a row that the problem does not define but that was written: its error is infinite.
struct Comparison {
  double max_row_error = 0;          ///< worst |y - ref|_2 / |ref|_2 of a row; infinity for NaN
  double max_element_error = 0;      ///< worst |y - ref| / rms(ref row); infinity for NaN
  std::int64_t bad_rows = 0;         ///< rows over the tolerance, NaN included
  int first_bad_row = -1;            ///< smallest such row of the output
  std::vector<double> expert_error;  ///< (E) worst row error of each expert's rows

  bool pass() const { return bad_rows == 0; }
};

/// What both outputs of one call are worth together: the worse of each figure, the bad rows of both.
Comparison worst_of(Comparison a, const Comparison& b);

/// Row tolerance of the comparison for outputs rounded once to `dtype`: no element is rounded by more than half a unit in the
/// last place, so neither is the row, plus what the order of float32 additions may change.
double row_tolerance(DType dtype);

/// That of what `problem` writes: of a float32 dW, which is not rounded, the order of additions alone.
double row_tolerance(const Problem& problem);

/// Half of the smallest number of `dtype`, by which rounding may move a value however small it is (rows of a dW whose dY is
/// tiny). Errors of elements count from there on.
double rounding_of_subnormals(DType dtype);

/// |y - ref|_2 / |ref|_2 of one row, beyond rounding_of_subnormals(); infinity for NaN and for anything but zeros against zeros.
double row_error(const std::uint16_t* y, std::span<const float> reference, DType dtype);

/// The same of float64, with no allowance; infinity also for rows of different lengths.
double row_error(std::span<const double> y, std::span<const double> reference);

/// The comparison on host memory; kernels/compare_rows.cuh makes it on a GPU. `args` with host pointers, y included; `reference`
/// is (M, columns of y), indexed like y. Rows of y that the problem does not define must hold the poison 0xff in every byte, or
/// they count as bad.
Comparison compare_rows(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<const float> reference,
                        double row_tolerance);

/// The same of dW, args.w, whose rows are all defined; `reference` is (E, N, K). A row is bad above row_tolerance(problem).
Comparison compare_weights(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<const float> reference);

}  // namespace moe_tune
