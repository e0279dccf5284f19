#include "generator/heuristics.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

KernelConfigForward make(int block_m, int block_n, int block_k, int warps, int warps_m, int stages, int ctas_per_sm,
                         TileOrder tile_order) {
  KernelConfigForward config;
  config.BLOCK_M = block_m;
  config.BLOCK_N = block_n;
  config.BLOCK_K = block_k;
  config.warps = warps;
  config.warps_m = warps_m;
  config.stages = stages;
  config.ctas_per_sm = ctas_per_sm;
  config.tile_order = tile_order;
  return config;
}

/// What won on an H200 for a mean number of rows per expert (docs/results/tuning.md), before the limits of the device.
KernelConfigForward preferred(double rows_per_expert) {
  if (rows_per_expert <= 24) return make(16, 64, 64, 2, 1, 5, 4, TileOrder::m_fastest);
  if (rows_per_expert <= 40) return make(32, 128, 64, 4, 1, 4, 2, TileOrder::m_fastest);
  if (rows_per_expert <= 384) return make(96, 192, 64, 4, 2, 3, 2, TileOrder::n_fastest);
  return make(128, 256, 128, 8, 2, 2, 1, TileOrder::n_fastest);
}

}  // namespace

KernelConfigForward default_config(const Problem& p, std::int64_t tokens, const DeviceDescription& device) {
  const double rows = static_cast<double>(std::max<std::int64_t>(tokens, 1)) * p.top_k;
  const KernelConfigForward wanted = preferred(rows / std::min<double>(p.E, rows));
  // Give up resident blocks before stages, and depth of a stage last.
  for (int block_k = wanted.BLOCK_K; block_k >= 32; block_k /= 2) {
    for (int stages = wanted.stages; stages >= 2; --stages) {
      for (int ctas = wanted.ctas_per_sm; ctas >= 1; --ctas) {
        KernelConfigForward config = wanted;
        config.BLOCK_K = block_k;
        config.stages = stages;
        config.ctas_per_sm = ctas;
        if (!reject(p, config, device)) return config;
      }
    }
  }
  // A huge E leaves little shared memory on a small device: anything that fits.
  if (const auto space = config_space(p, device); !space.empty()) return space.front();
  const auto reason = reject(p, wanted, device);
  throw UsageError(fmt::format("no default config for {} on {}: {}", describe(p), device.name, reason.value_or("none fits")));
}

}  // namespace moe_tune
