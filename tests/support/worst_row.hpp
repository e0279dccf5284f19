// Tensors of float64 compared row by row.
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "runtime/reference/comparison.hpp"

namespace moe_tune::test {

/// The largest row_error() of rows of `columns`; infinity for NaN and for tensors of different sizes.
inline double worst_row(const std::vector<double>& actual, const std::vector<double>& expected, int columns) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  const auto length = static_cast<std::size_t>(columns);
  double worst = 0;
  for (std::size_t at = 0; at < actual.size(); at += length) {
    worst = std::max(worst, row_error(std::span(actual).subspan(at, length), std::span(expected).subspan(at, length)));
  }
  return worst;
}

}  // namespace moe_tune::test
