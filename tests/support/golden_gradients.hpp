// Gradients of whole blocks against those of the golden fixtures and of the float64 reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "runtime/reference/moe_block_gradient.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/worst_row.hpp"

namespace moe_tune::test {

inline double norm(std::span<const double> values) {
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

/// Like worst_row(), but against the root mean square of the rows of the matrix, `rows` each: where silu is flat a row of
/// d_gate_up_proj is a difference of numbers that are far larger than itself, and so is a dot product of rows. A matrix of zeros
/// must be zeros.
inline double worst_row_of_matrices(const std::vector<double>& actual, const std::vector<double>& expected, std::int64_t rows,
                                    int columns) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  const auto K = static_cast<std::size_t>(columns);
  const std::size_t matrix = static_cast<std::size_t>(rows) * K;
  double worst = 0;
  for (std::size_t at = 0; at < actual.size(); at += K) {
    std::vector<double> difference(K);
    for (std::size_t i = 0; i < K; ++i) difference[i] = actual[at + i] - expected[at + i];
    const double error = norm(difference);
    const double size = norm(std::span(expected).subspan(at / matrix * matrix, matrix)) / std::sqrt(static_cast<double>(rows));
    if (error != 0) worst = std::max(worst, std::isfinite(error / size) ? error / size : std::numeric_limits<double>::infinity());
  }
  return worst;
}

/// The worst of all gradients that the fixture has.
inline double disagreement(const GoldenCase& golden, const MoeBlockGradient& gradient) {
  const ModelShape& shape = golden.shape();
  const auto theirs = golden.weight_gradients();
  double worst = std::max({worst_row(gradient.d_hidden_states, golden.values("d_hidden_states"), shape.H),
                           worst_row(gradient.d_gate, theirs.at("gate"), shape.H),
                           worst_row(gradient.d_down_proj, theirs.at("down_proj"), shape.I),
                           worst_row_of_matrices(gradient.d_gate_up_proj, theirs.at("gate_up_proj"), 2 * shape.I, shape.H)});
  if (shape.shared_expert_I > 0) {
    worst = std::max({worst, worst_row(gradient.d_shared_down_proj, theirs.at("shared_down_proj"), shape.shared_expert_I),
                      worst_row_of_matrices(gradient.d_shared_gate_up_proj, theirs.at("shared_gate_up_proj"),
                                            2 * shape.shared_expert_I, shape.H)});
  }
  return worst;
}

/// float32: as of the forward, for twice its products. 16 bits: some ten roundings on the way there and ten on the way back, half
/// a unit each, all of them pointing one way at the very worst.
inline double gradient_tolerance(Storage storage) {
  return storage == Storage::float32 ? 192 * unit_roundoff(storage) : 20 * unit_roundoff(storage);
}

}  // namespace moe_tune::test
