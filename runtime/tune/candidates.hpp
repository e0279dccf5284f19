// Which configs of the space are tried at a point.
#pragma once

#include <span>
#include <vector>

#include "generator/model.hpp"
#include "runtime/tune/history.hpp"
#include "runtime/tune/options.hpp"

namespace moe_tune {

struct Candidates {
  std::vector<RankedConfig> ranking;  ///< the whole space in the model's order
  KernelConfig default_config;        ///< what a winner must beat
  std::vector<KernelConfig> configs;  ///< to try: the default first, each once, none that failed before
};

/// `space` is config_space() of the problem; `neighbours` are winners at other token counts. `m_sizes` are the rows of every
/// expert.
Candidates choose_candidates(const TuneOptions& options, const Problem& problem, int tokens, std::span<const int> m_sizes,
                             std::span<const KernelConfig> space, std::span<const KernelConfig> neighbours,
                             const History& history);

/// Blocks of a kernel that are resident on an SM, from what the compiler reports: limited by registers (allocated to a warp in
/// units of 256; what setmaxnreg moves within a block changes nothing), shared memory and threads.
int resident_blocks(const KernelConfig& config, const Resources& resources, const DeviceDescription& device);

}  // namespace moe_tune
