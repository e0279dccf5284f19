// Products of rows in expert order with the experts' weights, in float64, and both gradients of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/reference/storage.hpp"

namespace moe_tune {

/// Rows that stand in expert order, expert e having counts[e] of them, and the weights (experts, N, K) that they meet. One expert
/// with all rows is a plain product.
struct ExpertWeights {
  TensorView weights;
  std::span<const std::int64_t> counts;
  int N = 0;
  int K = 0;
  int threads = 0;  ///< 0: one per core
};

/// y (rows, N): y[r] = x[r] . W[e]^T, x (rows, K).
std::vector<double> multiply(const ExpertWeights& experts, std::span<const double> x);

/// dx (rows, K): dx[r] = dy[r] . W[e], dy (rows, N).
std::vector<double> multiply_transposed(const ExpertWeights& experts, std::span<const double> dy);

/// dW (experts, N, K): the sum over an expert's rows of dy[r]^T x[r].
std::vector<double> weights_of_products(const ExpertWeights& experts, std::span<const double> dy, std::span<const double> x);

}  // namespace moe_tune
