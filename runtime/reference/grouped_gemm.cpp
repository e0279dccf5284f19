#include "runtime/reference/grouped_gemm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#include "generator/rows_gemm.hpp"
#include "moe_tune/error.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/parallel_for.hpp"
#include "runtime/reference/routed_rows.hpp"
#include "runtime/reference/unpack_row.hpp"

namespace moe_tune {

namespace {

template <class Real>
std::vector<Real> unpack_column(const char* base, int column, std::int64_t row_bytes, int count, DType dtype) {
  std::vector<Real> values(count);
  for (int row = 0; row < count; ++row) {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(base + row * row_bytes);
    values[row] = static_cast<Real>(to_float(bits[column], dtype));
  }
  return values;
}

/// Eight partial sums, which a compiler keeps in vector registers. K is a multiple of 8.
template <class Real>
Real dot(const std::vector<Real>& a, const std::vector<Real>& b) {
  Real sums[8] = {};
  for (std::size_t k = 0; k < a.size(); k += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += a[k + lane] * b[k + lane];
  }
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

template <class Real>
Real routing_weight(const Problem& problem, const abi::GroupedGemmArgs& args, int slot) {
  if (slot < 0) return 0;  // its row of x is zeros
  if (args.topk_weights_f32) return static_cast<const float*>(args.topk_weights)[slot];
  return to_float(static_cast<const std::uint16_t*>(args.topk_weights)[slot], problem.dtype);
}

template <class Real>
Real silu(Real gate) {
  return gate / (1 + std::exp(-gate));
}

template <class Real>
unsigned forward(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<Real> output, int threads) {
  validate(problem);
  const int columns = output_columns(problem);
  if (output.size() != static_cast<std::size_t>(args.M) * columns) {
    throw UsageError(fmt::format("the reference's output has {} elements; M = {} rows of {} columns were expected", output.size(),
                                 args.M, columns));
  }
  const RowsGemm gemm = rows_gemm(problem);
  const ResolvedRows resolved = resolve_rows(problem, args);
  std::vector<std::vector<Real>> x(resolved.rows.size());
  parallel_for(static_cast<int>(x.size()), threads, [&](int i) {
    const int source = resolved.rows[i].source;
    x[i] = source < 0 ? std::vector<Real>(gemm.reduction)
                      : unpack_row<Real>(args.x, source, args.x_row_bytes, gemm.reduction, problem.dtype);
  });
  // One column of the output per piece of work: each row of each expert's weight is unpacked once.
  parallel_for(columns, threads, [&](int column) {
    int expert = -1;
    std::vector<Real> w;
    std::vector<Real> w_up;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const RoutedRow& row = resolved.rows[i];
      if (row.target < 0) continue;
      if (row.expert != expert) {
        expert = row.expert;
        const char* weights = static_cast<const char*>(args.w) + expert * args.w_expert_bytes;
        w = gemm.weight_rows_are_k ? unpack_column<Real>(weights, column, args.w_row_bytes, gemm.reduction, problem.dtype)
                                   : unpack_row<Real>(weights, column, args.w_row_bytes, gemm.reduction, problem.dtype);
        if (problem.fuse_swiglu)
          w_up = unpack_row<Real>(weights, columns + column, args.w_row_bytes, gemm.reduction, problem.dtype);
      }
      const bool scaled = problem.fuse_mul_pre || problem.fuse_mul_post;
      const Real weight = scaled ? routing_weight<Real>(problem, args, row.slot) : 1;
      const Real scale_before = problem.fuse_mul_pre ? weight : 1;
      Real value = dot(x[i], w) * scale_before;
      if (problem.fuse_swiglu) value = silu(value) * (dot(x[i], w_up) * scale_before);
      if (problem.fuse_mul_post) value *= weight;
      output[static_cast<std::size_t>(row.target) * columns + column] = value;
    }
  });
  return resolved.status;
}

}  // namespace

unsigned reference_rows(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<float> output, int threads) {
  return forward(problem, args, output, threads);
}

unsigned reference_rows(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<double> output, int threads) {
  return forward(problem, args, output, threads);
}

}  // namespace moe_tune
