#include "generator/heuristics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

/// A config for mean rows per expert up to a bound.
struct Rung {
  double rows_per_expert;
  KernelConfigForward config;
};

constexpr double any = 1e300;

// What won on an H200 (docs/results/tuning.md), before the limits of the device.
constexpr Rung sm80_rungs[] = {
    {24, {.BLOCK_M = 16, .BLOCK_N = 64, .warps = 2, .warps_m = 1, .stages = 5, .ctas_per_sm = 4}},
    {40, {.BLOCK_M = 32, .warps_m = 1, .stages = 4, .ctas_per_sm = 2}},
    {384, {.BLOCK_M = 96, .BLOCK_N = 192, .ctas_per_sm = 2, .tile_order = TileOrder::n_fastest}},
    {any, {.BLOCK_N = 256, .BLOCK_K = 128, .warps = 8, .stages = 2, .tile_order = TileOrder::n_fastest}},
};

/// Few rows: the weights are streamed, by many small blocks.
constexpr KernelConfigForward streaming(int block_m, int block_n, int stages) {
  return {.family = Family::sm90,
          .BLOCK_M = block_m,
          .BLOCK_N = block_n,
          .warps = 8,
          .warps_m = 1,
          .stages = stages,
          .ctas_per_sm = 2,
          .mma_m = MmaM::weights,
          .gather = Gather::in_kernel};
}

/// Many rows: the tensor cores are kept busy, by one block per SM.
constexpr KernelConfigForward multiplying(int block_m, int block_n, int stages) {
  return {.family = Family::sm90,
          .BLOCK_M = block_m,
          .BLOCK_N = block_n,
          .warps = 12,
          .warps_m = 1,
          .stages = stages,
          .mma_m = MmaM::weights,
          .schedule = Schedule::ping_pong,
          .tile_source = TileSource::queue};
}

constexpr double streaming_rows = 48;      // per expert, at most
constexpr int streaming_pairs_stages = 5;  // of 16x128 tiles

constexpr Rung sm90_rungs[] = {
    {24, streaming(16, 64, 8)},
    {streaming_rows, streaming(32, 128, 4)},
    {96, multiplying(96, 128, 6)},
    {any, multiplying(192, 128, 5)},
};

/// Where rows are gathered, up to as many per expert cooperative consumers do that themselves; from as many on, copying them
/// ahead of their tiles is hidden.
constexpr double gathering_rows = 96;
constexpr double copying_rows = 384;
constexpr KernelConfigForward gathering = {.family = Family::sm90,
                                           .BLOCK_M = 128,
                                           .BLOCK_N = 256,
                                           .warps = 12,
                                           .warps_m = 1,
                                           .stages = 4,
                                           .mma_m = MmaM::weights,
                                           .tile_source = TileSource::queue,
                                           .gather = Gather::in_kernel};

/// Below as many tiles of 64 columns as blocks of an sm80 launch, its shorter way to the first byte counts.
constexpr double few_tiles_per_sm = 4;

template <std::size_t Count>
const KernelConfigForward& choose(const Rung (&rungs)[Count], double rows_per_expert) {
  return std::find_if(std::begin(rungs), std::end(rungs) - 1, [&](const Rung& r) { return rows_per_expert <= r.rows_per_expert; })
      ->config;
}

/// `wanted` with as little of its depth given up as the device asks for: resident blocks before stages, depth of a stage last.
std::optional<KernelConfigForward> fitted(const Problem& p, const KernelConfigForward& wanted, const DeviceDescription& device) {
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
  return std::nullopt;
}

KernelConfigForward wanted_sm90(const Problem& p, double rows_per_expert) {
  if (p.permute_x && rows_per_expert > streaming_rows && rows_per_expert <= gathering_rows) return gathering;
  KernelConfigForward wanted = choose(sm90_rungs, rows_per_expert);
  if (!p.permute_x) {
    wanted.gather = Gather::dispatch;
  } else if (rows_per_expert >= copying_rows) {
    wanted.gather = Gather::copy_ahead;
  }
  // Gate and up columns come in pairs of 64.
  if (p.fuse_swiglu && wanted.BLOCK_N < 128) {
    wanted.BLOCK_N = 128;
    wanted.stages = streaming_pairs_stages;
  }
  return wanted;
}

std::optional<KernelConfigForward> default_sm90(const Problem& p, double rows_per_expert, const DeviceDescription& device) {
  const KernelConfigForward wanted = wanted_sm90(p, rows_per_expert);
  // Blocks that share token rows take less from the L2, which is what many rows wait for.
  if (wanted.ctas_per_sm == 1 && wanted.gather != Gather::in_kernel) {
    KernelConfigForward cluster = wanted;
    cluster.cluster = 2;
    if (const auto config = fitted(p, cluster, device)) return config;
  }
  return fitted(p, wanted, device);
}

}  // namespace

KernelConfigForward default_config(const Problem& p, std::int64_t tokens, const DeviceDescription& device) {
  const double rows = static_cast<double>(std::max<std::int64_t>(tokens, 1)) * p.top_k;
  const double rows_per_expert = rows / std::min<double>(p.E, rows);
  const KernelConfigForward& wanted = choose(sm80_rungs, rows_per_expert);
  if (runs_on(Family::sm90, device)) {
    const double tiles = std::min<double>(p.E, rows) * std::ceil(p.N / 64.0);
    const bool few = tiles < few_tiles_per_sm * device.sm_count && !reject(p, wanted, device);
    if (const auto config = few ? std::nullopt : default_sm90(p, rows_per_expert, device)) return *config;
  }
  if (const auto config = fitted(p, wanted, device)) return *config;
  // A huge E leaves little shared memory on a small device: anything that fits.
  if (const auto space = config_space(p, device); !space.empty()) return space.front();
  const auto reason = reject(p, wanted, device);
  throw UsageError(fmt::format("no default config for {} on {}: {}", describe(p), device.name, reason.value_or("none fits")));
}

}  // namespace moe_tune
