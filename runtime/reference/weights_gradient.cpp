#include "runtime/reference/weights_gradient.hpp"

#include <fmt/format.h>

#include <vector>

#include "generator/rows_gemm.hpp"
#include "moe_tune/error.hpp"
#include "runtime/reference/parallel_for.hpp"
#include "runtime/reference/routed_rows.hpp"
#include "runtime/reference/unpack_row.hpp"

namespace moe_tune {

namespace {

/// Adds what stands in dW of an expert.
template <class Real>
void add_old(const Problem& p, const abi::GroupedGemmArgs& args, int expert, std::span<Real> sums) {
  const char* dw = static_cast<const char*>(args.w) + expert * args.w_expert_bytes;
  auto sum = sums.begin();
  for (int n = 0; n < p.N; ++n) {
    const auto* floats = reinterpret_cast<const float*>(dw + n * std::int64_t{args.w_row_bytes});
    const std::vector<Real> row =
        p.float32_dw ? std::vector<Real>(floats, floats + p.K) : unpack_row<Real>(dw, n, args.w_row_bytes, p.K, p.dtype);
    for (const Real value : row) *sum++ += value;
  }
}

template <class Real>
unsigned weights(const Problem& p, const abi::GroupedGemmArgs& args, std::span<Real> output, int threads) {
  validate(p);
  const std::size_t matrix = static_cast<std::size_t>(p.N) * static_cast<std::size_t>(p.K);
  if (output.size() != static_cast<std::size_t>(p.E) * matrix) {
    throw UsageError(
        fmt::format("the reference's dW has {} elements; {} experts of {} x {} were expected", output.size(), p.E, p.N, p.K));
  }
  const ResolvedRows resolved = resolve_rows(p, args);
  std::fill(output.begin(), output.end(), Real{0});
  parallel_for(p.E, threads, [&](int expert) {
    for (const RoutedRow& row : resolved.rows) {
      if (row.expert != expert || row.source < 0) continue;
      // One of the two is gathered, or none; `target` is the row in expert order.
      const std::vector<Real> x = unpack_row<Real>(args.x, p.permute_y ? row.target : row.source, args.x_row_bytes, p.K, p.dtype);
      const std::vector<Real> y = unpack_row<Real>(args.y, p.permute_y ? row.source : row.target, args.y_row_bytes, p.N, p.dtype);
      Real* target = output.data() + static_cast<std::size_t>(expert) * matrix;
      for (int n = 0; n < p.N; ++n) {
        const Real factor = y[static_cast<std::size_t>(n)];
        for (int k = 0; k < p.K; ++k) *target++ += factor * x[static_cast<std::size_t>(k)];
      }
    }
    if (p.accumulate) add_old(p, args, expert, output.subspan(static_cast<std::size_t>(expert) * matrix, matrix));
  });
  return resolved.status;
}

}  // namespace

unsigned reference_weights(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<float> output, int threads) {
  return weights(problem, args, output, threads);
}

unsigned reference_weights(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<double> output, int threads) {
  return weights(problem, args, output, threads);
}

}  // namespace moe_tune
