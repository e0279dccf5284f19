#include "runtime/reference/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/reference/half.hpp"
#include "runtime/reference/routed_rows.hpp"

namespace moe_tune {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double summation = 0x1p-12;  // what the order of float32 additions may change

struct RowErrors {
  double row;
  double element;
};

/// `value(i)`: element i of the row; `subnormal`: how much of each error does not count.
template <class Value, class Real>
RowErrors judge_row(const Value& value, std::span<const Real> reference, double subnormal) {
  double difference = 0;
  double size = 0;
  double largest = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    double error = std::abs(value(i) - reference[i]) - subnormal;
    if (error < 0) error = 0;  // a NaN stays
    difference += error * error;
    size += static_cast<double>(reference[i]) * reference[i];
    largest = std::max(largest, error * error);
  }
  // A NaN anywhere is a NaN in the difference, which makes both errors infinite; so does any error against an all-zero row.
  if (difference == 0) return {0, 0};
  const double row = std::sqrt(difference / size);
  if (!std::isfinite(row)) return {infinity, infinity};
  return {row, std::sqrt(largest * static_cast<double>(reference.size()) / size)};
}

RowErrors judge_row(const std::uint16_t* y, std::span<const float> reference, DType dtype) {
  const auto value = [&](std::size_t i) { return double{to_float(y[i], dtype)}; };
  return judge_row(value, reference, rounding_of_subnormals(dtype));
}

void count(Comparison& result, int row, const RowErrors& errors, double tolerance) {
  result.max_row_error = std::max(result.max_row_error, errors.row);
  result.max_element_error = std::max(result.max_element_error, errors.element);
  if (errors.row <= tolerance) return;
  ++result.bad_rows;
  if (result.first_bad_row < 0 || row < result.first_bad_row) result.first_bad_row = row;
}

void count_of_expert(Comparison& result, int expert, const RowErrors& errors) {
  double& worst = result.expert_error[static_cast<std::size_t>(expert)];
  worst = std::max(worst, errors.row);
}

}  // namespace

Comparison worst_of(Comparison a, const Comparison& b) {
  a.max_row_error = std::max(a.max_row_error, b.max_row_error);
  a.max_element_error = std::max(a.max_element_error, b.max_element_error);
  a.bad_rows += b.bad_rows;
  if (a.first_bad_row < 0 || (b.first_bad_row >= 0 && b.first_bad_row < a.first_bad_row)) a.first_bad_row = b.first_bad_row;
  for (std::size_t i = 0; i < a.expert_error.size(); ++i) a.expert_error[i] = std::max(a.expert_error[i], b.expert_error[i]);
  return a;
}

double row_tolerance(DType dtype) {
  const double half_ulp = dtype == DType::bf16 ? 0x1p-8 : 0x1p-11;
  return half_ulp + summation;
}

double row_tolerance(const Problem& problem) { return problem.float32_dw ? summation : row_tolerance(problem.dtype); }

double rounding_of_subnormals(DType dtype) { return dtype == DType::bf16 ? 0x1p-134 : 0x1p-25; }

double row_error(const std::uint16_t* y, std::span<const float> reference, DType dtype) {
  return judge_row(y, reference, dtype).row;
}

double row_error(std::span<const double> y, std::span<const double> reference) {
  if (y.size() != reference.size()) return infinity;
  return judge_row([&](std::size_t i) { return y[i]; }, reference, 0).row;
}

Comparison compare_rows(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<const float> reference,
                        double row_tolerance) {
  Comparison result;
  result.expert_error.resize(static_cast<std::size_t>(problem.E));
  const auto row_of_y = [&](int row) {
    return reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(args.y) + std::int64_t{row} * args.y_row_bytes);
  };
  const auto columns = static_cast<std::size_t>(output_columns(problem));
  std::vector<bool> defined(static_cast<std::size_t>(args.M));
  for (const RoutedRow& row : resolve_rows(problem, args).rows) {
    if (row.target < 0) continue;
    const auto target = static_cast<std::size_t>(row.target);
    defined[target] = true;
    const RowErrors errors = judge_row(row_of_y(row.target), reference.subspan(target * columns, columns), problem.dtype);
    count(result, row.target, errors, row_tolerance);
    count_of_expert(result, row.expert, errors);
  }
  for (int row = 0; row < args.M; ++row) {
    const std::uint16_t* y = row_of_y(row);
    const bool touched = std::any_of(y, y + columns, [](std::uint16_t bits) { return bits != 0xffff; });
    if (!defined[static_cast<std::size_t>(row)] && touched) count(result, row, {infinity, infinity}, row_tolerance);
  }
  return result;
}

Comparison compare_weights(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<const float> reference) {
  Comparison result;
  result.expert_error.resize(static_cast<std::size_t>(problem.E));
  const auto columns = static_cast<std::size_t>(problem.K);
  for (int row = 0; row < problem.E * problem.N; ++row) {
    const int expert = row / problem.N;
    const char* dw =
        static_cast<const char*>(args.w) + expert * args.w_expert_bytes + std::int64_t{row % problem.N} * args.w_row_bytes;
    const auto expected = reference.subspan(static_cast<std::size_t>(row) * columns, columns);
    const auto float32 = [&](std::size_t i) { return double{reinterpret_cast<const float*>(dw)[i]}; };
    const RowErrors errors = problem.float32_dw ? judge_row(float32, expected, 0)
                                                : judge_row(reinterpret_cast<const std::uint16_t*>(dw), expected, problem.dtype);
    count(result, row, errors, row_tolerance(problem));
    count_of_expert(result, expert, errors);
  }
  return result;
}

}  // namespace moe_tune
