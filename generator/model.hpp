// The analytic cost model: how long a config should take on a device, from the rows of every expert.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// A prediction and what it is made of; all times in microseconds.
struct Prediction {
  double total = 0;
  double compute = 0;  ///< MMA time of the fullest SM, with what small warp tiles and short pipelines lose
  double memory = 0;   ///< bytes that must come from DRAM at the rate that the bytes in flight allow
  double fixed = 0;    ///< launch, schedule, first fill and last store; what copying rows to expert order shows
  double tiles = 0;    ///< tiles of the launch
  double waves = 0;    ///< tiles per resident block

  std::string bound() const;  ///< "compute" or "memory"
};

/// Floating-point operations of the rows in m_sizes: 2 * rows * N * K.
double flops(const Problem& problem, std::span<const int> m_sizes);

/// The fewest bytes that must move: weights of experts with rows, x once, y once and what is kept of it, indices, routing
/// weights. Of dW those of all experts are written; with accumulate those of experts with rows are read and written.
double minimum_bytes(const Problem& problem, std::span<const int> m_sizes);

/// The time that no kernel beats: max(flops / best MMA rate, bytes / DRAM rate), microseconds.
double roofline_us(const Problem& problem, std::span<const int> m_sizes, const DeviceDescription& device);

/// `m_sizes` has E entries.
Prediction predict(const Problem& problem, const KernelConfig& config, std::span<const int> m_sizes,
                   const DeviceDescription& device);

struct RankedConfig {
  KernelConfig config;
  Prediction prediction;
};

/// All of `configs`, fastest predicted first; ties by their order.
std::vector<RankedConfig> rank(const Problem& problem, std::span<const KernelConfig> configs, std::span<const int> m_sizes,
                               const DeviceDescription& device);

}  // namespace moe_tune
