#include <algorithm>
#include <cmath>

#include "generator/family_model.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/integer.hpp"

namespace moe_tune::sm80 {

namespace {

// Constants of the sm80 family, fitted on an H200 (docs/TUNING.md, "The model").
constexpr double mma_efficiency = 0.78;     // of the register-only rate that the mainloop reaches when nothing else binds
constexpr double shared_efficiency = 0.82;  // of the shared-memory bandwidth
constexpr double tail_floor = 0.45;         // a row tile with few rows still costs this share of a full one
constexpr double block_boundary_clk = 250;  // wait, barrier and first fragments of a k-block, hidden by other resident blocks
constexpr double tile_clk = 1200;           // schedule, pointers, stores of a tile
constexpr double dram_latency_us = 0.85;    // loaded
constexpr double supply_half = 0.15;        // supply, in units of rate times latency, at which half the rate is reached
constexpr double l2_bytes_per_dram_byte = 1.35;  // L2 bandwidth over DRAM bandwidth
constexpr double launch_us = 3.0;

/// Share of the DRAM rate that reading rows in pieces of `bytes` reaches: shorter pieces open more pages.
double segment_efficiency(int bytes) { return bytes >= 256 ? 1.0 : bytes >= 128 ? 0.985 : 0.92; }

/// Clocks of one SM for one k-block of a tile with `rows` rows, when it has the SM to itself.
double k_block_clk(const KernelConfig& c, double rows, const DeviceDescription& d) {
  const double full_rows = c.BLOCK_M;
  const double live = std::max(std::ceil(rows / 16) * 16, tail_floor * full_rows);
  const double flops = 2.0 * live * c.BLOCK_N * c.BLOCK_K;
  const double flops_per_clk = d.mma_sync_tflops * 1e12 / (d.sm_count * d.clock_ghz * 1e9);
  // Fewer than two warps per tensor core cannot overlap their own stalls.
  const double warps_per_core = c.warps * c.ctas_per_sm / 4.0;
  const double overlap = warps_per_core >= 2 ? 1.0 : 0.6 + 0.2 * warps_per_core;
  const double mma = flops / flops_per_clk / (mma_efficiency * overlap);
  const int warp_m = c.BLOCK_M / c.warps_m;
  const int warp_n = c.BLOCK_N / (c.warps / c.warps_m);
  const double bytes = 2.0 * c.BLOCK_K * (c.warps * (warp_m + warp_n) + c.BLOCK_M + c.BLOCK_N);
  const double shared = bytes / d.shared_bytes_per_clk / shared_efficiency;
  return std::max(mma, shared) + block_boundary_clk / c.ctas_per_sm;
}

}  // namespace

Prediction predict(const Problem& p, const KernelConfig& c, std::span<const int> m_sizes, const DeviceDescription& d) {
  const RowsGemm gemm = rows_gemm(p);
  const int n_tiles = ceil_div(gemm.columns, c.BLOCK_N);
  const int k_blocks = std::max(ceil_div(gemm.reduction, c.BLOCK_K), c.stages);
  const double blocks = static_cast<double>(d.sm_count) * c.ctas_per_sm;

  Prediction out;
  double clk = 0;       // over all tiles
  double l2_bytes = 0;  // read by all tiles
  const double full_clk = k_blocks * k_block_clk(c, c.BLOCK_M, d) + tile_clk / c.ctas_per_sm;
  const bool of_weights = p.op == Op::dW;
  for (const int rows : m_sizes) {
    if (of_weights) {
      const double down = ceil_div(p.N, c.BLOCK_M);
      const double across = ceil_div(p.K, c.BLOCK_N);
      out.tiles += down * across;
      clk += down * across * (ceil_div(rows, c.BLOCK_K) * k_block_clk(c, c.BLOCK_M, d) + tile_clk / c.ctas_per_sm);
      l2_bytes += 2.0 * rows * (across * p.N + down * p.K);
      continue;
    }
    if (rows == 0) continue;
    const int full = rows / c.BLOCK_M;
    const int tail = rows % c.BLOCK_M;
    out.tiles += static_cast<double>(n_tiles) * (full + (tail > 0));
    clk += n_tiles * full * full_clk;
    if (tail > 0) clk += n_tiles * (k_blocks * k_block_clk(c, tail, d) + tile_clk / c.ctas_per_sm);
    l2_bytes += 2.0 * gemm.reduction *
                (static_cast<double>(n_tiles) * rows + static_cast<double>(ceil_div(rows, c.BLOCK_M)) * gemm.columns);
  }
  if (out.tiles == 0) {
    out.fixed = out.total = launch_us;
    return out;
  }
  out.waves = out.tiles / blocks;
  // Tiles are dealt out in turn: the fullest block has ceil(waves) of them.
  const double imbalance = std::ceil(out.waves) / out.waves;
  out.compute = clk / d.sm_count / (d.clock_ghz * 1e3) * (out.waves < 1 ? 1.0 / out.waves : std::min(imbalance, 2.0));

  // Bytes in flight bound the rate (Little's law). Just after a barrier one stage is used up and its successor not yet asked for:
  // on average half a stage less than the ring has.
  const double stage_bytes = 2.0 * c.BLOCK_K * (c.BLOCK_N + (of_weights ? c.BLOCK_M : std::min(c.BLOCK_M, 16)));
  const int segment = of_weights ? std::min(c.BLOCK_M, c.BLOCK_N) : c.BLOCK_K;
  const double resident = std::min(blocks, out.tiles);
  const double in_flight = resident * (c.stages - 1.5) * stage_bytes;
  const double dram_rate = d.dram_gb_per_s * 1e3;  // bytes per microsecond
  const double supply = in_flight / (dram_rate * dram_latency_us);
  const double rate = dram_rate * segment_efficiency(segment * 2) * supply / (supply + supply_half);
  const double tail_wave = out.waves < 1 ? 1.0 : std::min(std::ceil(out.waves) / out.waves, 1.25);
  const double dram = minimum_bytes(p, m_sizes) / rate * (0.6 + 0.4 * tail_wave);
  const double l2 = l2_bytes / (d.dram_gb_per_s * 1e3 * l2_bytes_per_dram_byte);
  out.memory = std::max(dram, l2);

  out.fixed = launch_us + (c.stages - 1) * stage_bytes * d.sm_count * c.ctas_per_sm / (d.dram_gb_per_s * 1e3) * 0.25;
  // The two overlap, but not perfectly.
  out.total = std::max(out.compute, out.memory) + 0.15 * std::min(out.compute, out.memory) + out.fixed;
  return out;
}

}  // namespace moe_tune::sm80
