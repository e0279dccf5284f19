#include "runtime/reference/matrix_products.hpp"

#include <algorithm>
#include <numeric>

#include "runtime/reference/parallel_for.hpp"

namespace moe_tune {

namespace {

/// The expert of each row.
std::vector<std::int64_t> experts_of_rows(std::span<const std::int64_t> counts) {
  std::vector<std::int64_t> experts;
  for (std::size_t expert = 0; expert < counts.size(); ++expert) {
    experts.insert(experts.end(), static_cast<std::size_t>(counts[expert]), static_cast<std::int64_t>(expert));
  }
  return experts;
}

/// work(expert, n, first row, end of rows) for each row n of each expert's weight, on several threads.
template <class Work>
void for_each_weight_row(const ExpertWeights& e, const Work& work) {
  std::vector<std::int64_t> ends(e.counts.size());
  std::partial_sum(e.counts.begin(), e.counts.end(), ends.begin());
  parallel_for(static_cast<int>(e.counts.size()) * e.N, e.threads, [&](int i) {
    const auto expert = static_cast<std::size_t>(i / e.N);
    work(i, i % e.N, static_cast<std::size_t>(ends[expert] - e.counts[expert]), static_cast<std::size_t>(ends[expert]));
  });
}

void add_scaled(std::span<double> sums, double scale, std::span<const double> values) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += scale * values[i];
}

}  // namespace

std::vector<double> multiply(const ExpertWeights& e, std::span<const double> x) {
  const auto N = static_cast<std::size_t>(e.N);
  const auto K = static_cast<std::size_t>(e.K);
  std::vector<double> y(x.size() / K * N);
  for_each_weight_row(e, [&](int weight_row, int n, std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const std::vector<double> w = e.weights.row(weight_row, e.K);
    for (std::size_t row = begin; row < end; ++row) {
      y[row * N + static_cast<std::size_t>(n)] = std::inner_product(w.begin(), w.end(), x.begin() + row * K, 0.0);
    }
  });
  return y;
}

std::vector<double> multiply_transposed(const ExpertWeights& e, std::span<const double> dy) {
  const auto N = static_cast<std::size_t>(e.N);
  const auto K = static_cast<std::size_t>(e.K);
  const std::vector<std::int64_t> experts = experts_of_rows(e.counts);
  std::vector<double> dx(experts.size() * K);
  parallel_for(static_cast<int>(experts.size()), e.threads, [&](int i) {
    const auto row = static_cast<std::size_t>(i);
    for (std::size_t n = 0; n < N; ++n) {
      const std::vector<double> w = e.weights.row(experts[row] * e.N + static_cast<std::int64_t>(n), e.K);
      add_scaled(std::span(dx).subspan(row * K, K), dy[row * N + n], w);
    }
  });
  return dx;
}

std::vector<double> weights_of_products(const ExpertWeights& e, std::span<const double> dy, std::span<const double> x) {
  const auto N = static_cast<std::size_t>(e.N);
  const auto K = static_cast<std::size_t>(e.K);
  std::vector<double> dw(e.counts.size() * N * K);
  for_each_weight_row(e, [&](int weight_row, int n, std::size_t begin, std::size_t end) {
    const auto sums = std::span(dw).subspan(static_cast<std::size_t>(weight_row) * K, K);
    for (std::size_t row = begin; row < end; ++row) {
      add_scaled(sums, dy[row * N + static_cast<std::size_t>(n)], x.subspan(row * K, K));
    }
  });
  return dw;
}

}  // namespace moe_tune
