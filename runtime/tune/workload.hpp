// One point of a tuning run: a problem with actual rows.
#pragma once

#include <cstdint>

#include "generator/routing.hpp"
#include "moe_tune/problem.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune {

struct Workload {
  Problem problem;
  int tokens = 1;          ///< T; rows M = T * top_k
  RoutingSpec routing;     ///< how the rows are spread over the experts
  std::uint64_t seed = 1;  ///< of the random values of x and w
};

/// Most schedules of the emulated device that one verification may ask for.
inline constexpr int max_schedules = 10'000;

/// Where workloads run.
struct Place {
  DeviceKind device = DeviceKind::gpu;
  int ordinal = 0;  ///< of the GPU
  // Of the emulated device:
  int schedules = 4;  ///< under which it runs every kernel; the first four are of different kinds
  int experts = 2;    ///< among which it shares the rows, at most: a launch takes as long as the weights that it reads are many
};

/// Device bytes of every buffer that measuring a workload needs.
struct WorkloadBytes {
  std::int64_t weights = 0;                   ///< E * N * K elements: W or dW
  std::int64_t x = 0;                         ///< rows of X; of dX those of dY
  std::int64_t y = 0;                         ///< rows of Y, dX or, of dW, dY
  std::int64_t reference = 0;                 ///< what is written (Y, dX or dW) in float32
  std::int64_t pre_activation = 0;            ///< (M, N) when it is kept
  std::int64_t pre_activation_reference = 0;  ///< the same in float32
  std::int64_t workspace = 0;                 ///< where a kernel may copy the rows that it gathers, and flags
  std::int64_t routing = 0;                   ///< m_sizes, gather_indices, topk_weights
  std::int64_t flush = 0;                     ///< read before every sample to evict the L2

  std::int64_t total() const {
    return weights + x + y + reference + pre_activation + pre_activation_reference + workspace + routing + flush;
  }
};

/// Rows of a workload, T * top_k. Throws UsageError when they do not fit an int.
int workload_rows(const Problem& problem, int tokens);

/// Throws UsageError when a size does not fit 64 bits.
WorkloadBytes workload_bytes(const Problem& problem, int tokens, std::int64_t l2_bytes);

/// What an entry records about a routing.
Routing routing_record(const RoutingSpec& spec, const RoutedRows& rows);

}  // namespace moe_tune
