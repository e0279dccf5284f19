#include "generator/heuristics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

/// A config for mean rows per expert up to a bound.
struct Rung {
  double rows_per_expert;
  KernelConfig config;
};

constexpr double any = 1e300;

template <std::size_t Count>
const KernelConfig& choose(const Rung (&rungs)[Count], double rows_per_expert) {
  return std::find_if(std::begin(rungs), std::end(rungs) - 1, [&](const Rung& r) { return rows_per_expert <= r.rows_per_expert; })
      ->config;
}

// What won on an H200 (docs/results/tuning.md), before the limits of the device.
constexpr Rung sm80_rungs[] = {
    {24, {.BLOCK_M = 16, .BLOCK_N = 64, .warps = 2, .warps_m = 1, .stages = 5, .ctas_per_sm = 4}},
    {40, {.BLOCK_M = 32, .warps_m = 1, .stages = 4, .ctas_per_sm = 2}},
    {384, {.BLOCK_M = 96, .BLOCK_N = 192, .ctas_per_sm = 2, .tile_order = TileOrder::n_fastest}},
    {any, {.BLOCK_N = 256, .BLOCK_K = 128, .warps = 8, .stages = 2, .tile_order = TileOrder::n_fastest}},
};

/// The same for dX, which reads its weights transposed: 192 columns of four warps spill.
constexpr Rung sm80_dx_rungs[] = {
    sm80_rungs[0],
    sm80_rungs[1],
    {384, {.BLOCK_M = 96, .BLOCK_N = 256, .warps = 8, .stages = 4, .tile_order = TileOrder::n_fastest}},
    sm80_rungs[3],
};
constexpr KernelConfig sm80_weights = {.warps = 8};

const KernelConfig& wanted_sm80(const Problem& p, double rows_per_expert) {
  if (p.op == Op::dW) return sm80_weights;
  return p.op == Op::dX ? choose(sm80_dx_rungs, rows_per_expert) : choose(sm80_rungs, rows_per_expert);
}

/// Few rows: the weights are streamed, as few times as tiles can be made to need them. Rows are gathered on the way, if at all.
constexpr KernelConfig streaming(int block_m, int block_n, int stages, int ctas_per_sm) {
  return {.family = Family::sm90,
          .BLOCK_M = block_m,
          .BLOCK_N = block_n,
          .warps = block_n <= 64 ? 8 : 12,
          .warps_m = 1,
          .stages = stages,
          .ctas_per_sm = ctas_per_sm,
          .mma_m = MmaM::weights,
          .gather = Gather::in_kernel};
}

/// Many rows: the tensor cores are kept busy, by one block per SM. Blocks that share token rows take less from the L2, which is
/// what many rows wait for.
constexpr KernelConfig multiplying(int block_m, int block_n, int stages) {
  return {.family = Family::sm90,
          .BLOCK_M = block_m,
          .BLOCK_N = block_n,
          .warps = 12,
          .warps_m = 1,
          .stages = stages,
          .mma_m = MmaM::weights,
          .schedule = Schedule::ping_pong,
          .cluster = 2,
          .tile_source = TileSource::queue};
}

constexpr double gathering_from = 36;      // below, any tile gathers well
constexpr int streaming_pairs_stages = 5;  // of tiles that are 128 columns wide instead of 64

constexpr Rung sm90_rungs[] = {
    {10, streaming(16, 64, 8, 2)},  {20, streaming(32, 64, 8, 2)},   {gathering_from, streaming(48, 128, 4, 2)},
    {80, streaming(96, 128, 7, 1)}, {any, multiplying(192, 128, 5)},
};

constexpr double gathering_to = 176;

/// Where rows are gathered, instead of those: wide tiles gather each row for fewer of them. From copying_rows on, copying rows
/// ahead of their tiles is hidden.
constexpr Rung gathering_rungs[] = {
    {68, streaming(96, 256, 4, 1)},
    {104, streaming(128, 256, 4, 1)},
    {gathering_to, streaming(192, 256, 3, 1)},
};
constexpr double copying_rows = 384;
/// Up to so many columns a row is gathered for at most four tiles, which costs less than any copy for longer.
constexpr int few_columns = 1024;
constexpr double gathering_few_columns_to = 1200;
constexpr KernelConfig gathering_few_columns() {
  KernelConfig config = streaming(128, 256, 4, 1);
  config.tile_source = TileSource::queue;
  config.tile_order = TileOrder::n_fastest;
  return config;
}

/// Where wider tiles would leave SMs without any, as of a single expert: narrow ones up to as many rows as that pays. Not
/// measured yet; the model expects two thirds of the time.
constexpr Rung few_tiles_rungs[] = {
    sm90_rungs[0],
    sm90_rungs[1],
    {48, streaming(48, 64, 7, 2)},
    {128, streaming(64, 64, 6, 2)},
};
constexpr double few_tiles_to = 128;

/// Whether tiles of 128 columns are fewer than the SMs where each expert's rows fit one.
bool has_few_tiles(const Problem& p, double experts, const DeviceDescription& device) {
  return experts * std::ceil(rows_gemm(p).columns / 128.0) < device.sm_count;
}

/// `wanted` with as little of its depth given up as the device asks for: resident blocks before stages, depth of a stage last.
std::optional<KernelConfig> fitted(const Problem& p, const KernelConfig& wanted, const DeviceDescription& device) {
  for (int block_k = wanted.BLOCK_K; block_k >= 32; block_k /= 2) {
    for (int stages = wanted.stages; stages >= 2; --stages) {
      for (int ctas = wanted.ctas_per_sm; ctas >= 1; --ctas) {
        KernelConfig config = wanted;
        config.BLOCK_K = block_k;
        config.stages = stages;
        config.ctas_per_sm = ctas;
        if (!reject(p, config, device)) return config;
      }
    }
  }
  return std::nullopt;
}

KernelConfig wanted_sm90(const Problem& p, double rows_per_expert, bool few_tiles) {
  // fuse_mul_pre leaves one warp to gather, which is too slow for many rows.
  const bool many = rows_per_expert > gathering_from;
  const bool gathered = gathered_rows(p).any;
  const bool gathers = gathered && !(p.fuse_mul_pre && many);
  const double gathers_to = rows_gemm(p).columns <= few_columns ? gathering_few_columns_to : gathering_to;
  const bool gathers_wide = gathers && many && rows_per_expert <= gathers_to;
  const bool narrow = few_tiles && !gathered && !p.fuse_swiglu && rows_per_expert <= few_tiles_to;
  KernelConfig wanted = narrow                            ? choose(few_tiles_rungs, rows_per_expert)
                        : !gathers_wide                   ? choose(sm90_rungs, rows_per_expert)
                        : rows_per_expert <= gathering_to ? choose(gathering_rungs, rows_per_expert)
                                                          : gathering_few_columns();
  if (!gathers) wanted.gather = Gather::dispatch;
  if (gathered && !gathers_wide && rows_per_expert >= copying_rows) wanted.gather = Gather::copy_ahead;
  // Gate and up columns come in pairs of 64, of one consumer.
  if (p.fuse_swiglu && wanted.BLOCK_N <= 128 && wanted.schedule == Schedule::cooperative) {
    if (wanted.BLOCK_N < 128) wanted.stages = streaming_pairs_stages;
    wanted.BLOCK_N = 128;
    wanted.warps = 8;
  }
  return wanted;
}

// Gradients of weights: large tiles whatever the rows, as there are as many for every expert.
constexpr KernelConfig sm90_weights = {.family = Family::sm90,
                                       .BLOCK_M = 128,
                                       .BLOCK_N = 192,
                                       .warps = 12,
                                       .warps_m = 1,
                                       .stages = 4,
                                       .schedule = Schedule::ping_pong,
                                       .tile_source = TileSource::queue};

std::optional<KernelConfig> default_sm90(const Problem& p, double experts, double rows_per_expert,
                                         const DeviceDescription& device) {
  if (p.op == Op::dW) return fitted(p, sm90_weights, device);
  const KernelConfig wanted = wanted_sm90(p, rows_per_expert, has_few_tiles(p, experts, device));
  auto config = fitted(p, wanted, device);
  if (config || wanted.cluster == 1) return config;
  KernelConfig alone = wanted;
  alone.cluster = 1;
  return fitted(p, alone, device);
}

}  // namespace

KernelConfig default_config(const Problem& p, std::int64_t tokens, const DeviceDescription& device) {
  const double rows = static_cast<double>(std::max<std::int64_t>(tokens, 1)) * p.top_k;
  const double experts = std::min<double>(p.E, rows);
  const double rows_per_expert = rows / experts;
  if (runs_on(Family::sm90, device)) {
    if (const auto config = default_sm90(p, experts, rows_per_expert, device)) return *config;
  }
  const KernelConfig& wanted = wanted_sm80(p, rows_per_expert);
  if (const auto config = fitted(p, wanted, device)) return *config;
  // A huge E leaves little shared memory on a small device: anything that fits.
  if (const auto space = config_space(p, device); !space.empty()) return space.front();
  const auto reason = reject(p, wanted, device);
  throw UsageError(fmt::format("no default config for {} on {}: {}", describe(p), device.name, reason.value_or("none fits")));
}

}  // namespace moe_tune
