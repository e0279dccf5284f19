#include "runtime/reference/grouped_gemm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/reference/half.hpp"

namespace moe_tune {

namespace {

std::int64_t integer_at(const void* values, bool is_64, std::int64_t i) {
  return is_64 ? static_cast<const std::int64_t*>(values)[i] : static_cast<const std::int32_t*>(values)[i];
}

/// A row as the problem means it: device data resolved.
struct Row {
  int expert;
  int source;  ///< row of x; -1 reads as zeros
  int target;  ///< row of the output; -1 is not stored
};

struct Rows {
  std::vector<Row> rows;  ///< in expert order
  unsigned status = 0;
};

Row resolve_row(const Problem& problem, const abi::GroupedGemmArgs& args, int expert, int row, unsigned& status) {
  if (!problem.permute_x && !problem.permute_y) return {expert, row, row};
  std::int64_t slot = integer_at(args.gather_indices, args.gather_indices_64, row);
  if (slot < 0 || slot >= args.M) {
    status |= abi::status_bad_gather_index;
    slot = -1;
  }
  const int valid_slot = static_cast<int>(slot);
  if (problem.permute_y) return {expert, row, valid_slot};
  return {expert, valid_slot < 0 ? -1 : valid_slot / problem.top_k, row};
}

Rows resolve_rows(const Problem& problem, const abi::GroupedGemmArgs& args) {
  Rows result;
  for (int expert = 0; expert < problem.E; ++expert) {
    const std::int64_t size = integer_at(args.m_sizes, args.m_sizes_64, expert);
    const std::int64_t left = args.M - static_cast<std::int64_t>(result.rows.size());
    if (size < 0 || size > left) result.status |= abi::status_bad_m_sizes;
    for (std::int64_t i = 0; i < std::min(size, left); ++i) {
      result.rows.push_back(resolve_row(problem, args, expert, static_cast<int>(result.rows.size()), result.status));
    }
  }
  return result;
}

template <class Real>
std::vector<Real> unpack_row(const void* base, std::int64_t row, std::int64_t row_bytes, int count, DType dtype) {
  const auto* bits = reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(base) + row * row_bytes);
  std::vector<Real> values(count);
  std::transform(bits, bits + count, values.begin(), [dtype](std::uint16_t b) { return static_cast<Real>(to_float(b, dtype)); });
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
  if (!problem.fuse_mul_post) return 1;
  if (args.topk_weights_f32) return static_cast<const float*>(args.topk_weights)[slot];
  return to_float(static_cast<const std::uint16_t*>(args.topk_weights)[slot], problem.dtype);
}

/// Calls work(i) for every i in [0, count) on several threads. `work` does not throw.
template <class Work>
void parallel_for(int count, int threads, const Work& work) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<int> next = 0;
  const auto worker = [&] {
    for (int i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < std::min(threads, count); ++i) others.emplace_back(worker);
  worker();
}

template <class Real>
unsigned forward(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<Real> output, int threads) {
  validate(problem);
  if (output.size() != static_cast<std::size_t>(args.M) * problem.N) {
    throw UsageError(fmt::format("the reference's output has {} elements; M = {} rows of N = {} were expected", output.size(),
                                 args.M, problem.N));
  }
  const Rows resolved = resolve_rows(problem, args);
  std::vector<std::vector<Real>> x(resolved.rows.size());
  parallel_for(static_cast<int>(x.size()), threads, [&](int i) {
    const int source = resolved.rows[i].source;
    x[i] =
        source < 0 ? std::vector<Real>(problem.K) : unpack_row<Real>(args.x, source, args.x_row_bytes, problem.K, problem.dtype);
  });
  // One column of the output per piece of work: each row of each expert's weight is unpacked once.
  parallel_for(problem.N, threads, [&](int column) {
    int expert = -1;
    std::vector<Real> w;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Row& row = resolved.rows[i];
      if (row.target < 0) continue;
      if (row.expert != expert) {
        expert = row.expert;
        const char* weights = static_cast<const char*>(args.w) + expert * args.w_expert_bytes;
        w = unpack_row<Real>(weights, column, args.w_row_bytes, problem.K, problem.dtype);
      }
      output[static_cast<std::size_t>(row.target) * problem.N + column] =
          dot(x[i], w) * routing_weight<Real>(problem, args, row.target);
    }
  });
  return resolved.status;
}

}  // namespace

unsigned reference_forward(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<float> output, int threads) {
  return forward(problem, args, output, threads);
}

unsigned reference_forward(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<double> output, int threads) {
  return forward(problem, args, output, threads);
}

}  // namespace moe_tune
