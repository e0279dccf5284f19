#include <algorithm>
#include <cmath>

#include "generator/constraints.hpp"
#include "generator/emit.hpp"
#include "generator/family_model.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/integer.hpp"

namespace moe_tune::sm90 {

namespace {

// Constants of the sm90 family, fitted on what tuning measured on an H200 (docs/TUNING.md, "The model").
constexpr double mma_per_clk = 2048;         // 16-bit multiply-adds of an SM, at the clock that it cannot hold
constexpr double a_operand_clk = 16;         // to read 64 x 16 elements of the M side from shared memory
constexpr double b_operand_clk = 0.25;       // for each row of the other side
constexpr double l2_bytes_per_clk = 40;      // that an SM gets
constexpr double gather_bytes_per_clk = 14;  // that the gathering warps of an SM copy
constexpr double load_latency_clk = 1100;    // from a stage's release to its first byte
constexpr double contention = 4;             // exponent: how little these and the MMA disturb each other
constexpr double tile_clk = 190;             // schedule, barriers, first products
constexpr double cluster_tile_clk = 350;     // of it in a cluster, in addition
constexpr double store_clk = 6.8;            // an accumulator's way to y
constexpr double swiglu_clk = 6;             // the exponential of it, in addition
constexpr double static_drift = 1.04;        // blocks drift apart and lose what they shared in the L2
constexpr double queue_tail = 1.1;           // of a tile, that a block waits for the last at the end
constexpr double queue_us = 0.8;             // to the first tile
constexpr double n_fastest_factor = 1.01;
constexpr double reread = 0.4;              // of the weights of a second row tile, where the first lets them go
constexpr int keeps_weights = 128;          // rows of a tile from which on it does not: Sm90Config::streams_weights
constexpr double dram_latency_us = 0.65;    // loaded
constexpr double supply_half = 0.15;        // supply, in units of rate times latency, at which half the rate is reached
constexpr double dispatch_gb_per_s = 3900;  // on a device that reads 4420
constexpr double dispatch_reads = 4420;
constexpr double copy_ahead_shows = 0.42;  // of a dispatch's time, where tiles hide the rest
constexpr double copy_ahead_us = 7;        // before the first tiles have their rows
constexpr double launch_us = 3.0;
constexpr double pipeline_us = 2.8;  // barriers, tensor maps, the first stages
constexpr double both_bound = 0.04;  // of the lesser of compute and memory shows

/// What a tile costs an SM, in clocks.
struct TileClocks {
  double products;  ///< loads included
  double epilogue;
};

/// A tile with `rows` along BLOCK_M (dW: rows of dW) and a reduction of `length`.
TileClocks tile_clocks(const Problem& p, const KernelConfig& c, int rows, int length, const DeviceDescription& d) {
  const bool swapped = c.mma_m == MmaM::weights;
  const int m_blocks = swapped ? c.BLOCK_N / 64 : ceil_div(rows, 64);
  const int n_side = swapped ? round_up(rows, 16) : c.BLOCK_N;
  const int k_length = round_up(length, c.BLOCK_K);

  // A dense kernel sustains less than the instruction's rate: the clock falls under load.
  const double sustained_per_clk = d.wgmma_tflops * 1e12 / 2 / (d.sm_count * d.clock_ghz * 1e9);
  const double step = std::max(64.0 * n_side * 16 / mma_per_clk, a_operand_clk + b_operand_clk * n_side);
  const double mma = m_blocks * (k_length / 16) * step * mma_per_clk / sustained_per_clk;
  const int loaded_rows = round_up(rows, c.BLOCK_M % 32 == 0 ? 32 : 16);  // boxes
  const double l2 = 2.0 * k_length * (static_cast<double>(loaded_rows) / c.cluster + c.BLOCK_N) / l2_bytes_per_clk;
  const bool gathers = gathered_rows(p).any && c.gather == Gather::in_kernel;
  // By one warp where another looks up weights of rows. A block of a cluster gathers half of them, at half the rate.
  const double gather_rate = gather_bytes_per_clk / (p.fuse_mul_pre ? 2 : 1);
  const double gather = gathers ? 2.0 * k_length * round_up(rows, 16) / gather_rate : 0;
  // All stages but the one that is multiplied are on their way; in a cluster, gathered rows then go on to the other block.
  const int sent_later = gathers && c.cluster > 1 ? std::min(2, c.stages - 2) : 0;
  const int on_their_way = std::max(1, c.stages - 1 - sent_later);
  const double stage_clk = load_latency_clk + 2.0 * c.BLOCK_K * (c.BLOCK_N + round_up(rows, 16)) / l2_bytes_per_clk;
  const double latency = k_length / c.BLOCK_K * stage_clk / on_their_way / c.ctas_per_sm;

  TileClocks clocks{};
  double sum = 0;
  for (const double bound : {mma, l2, gather, latency}) sum += std::pow(bound, contention);
  clocks.products = std::pow(sum, 1 / contention);
  const double accumulators = static_cast<double>(round_up(rows, 16)) * c.BLOCK_N / (128.0 * consumers_of_tile(c));
  clocks.epilogue = tile_clk + (c.cluster > 1 ? cluster_tile_clk : 0) +
                    accumulators * (store_clk * (p.keep_pre_activation ? 1.5 : 1) + (p.fuse_swiglu ? swiglu_clk : 0));
  return clocks;
}

/// All tiles of a launch, on SMs that multiply one tile while they store another where the schedule or a second block allows it.
struct Tiles {
  double count = 0;
  double clocks = 0;   ///< of SMs, over all tiles
  double longest = 0;  ///< one tile alone
};

Tiles tiles_of(const Problem& p, const KernelConfig& c, std::span<const int> m_sizes, const DeviceDescription& d) {
  const double at_once = c.schedule == Schedule::ping_pong ? 2 : c.ctas_per_sm;
  const RowsGemm gemm = rows_gemm(p);
  const double n_tiles = ceil_div(gemm.columns, c.BLOCK_N);
  const int grain = c.mma_m == MmaM::weights ? 16 : 64;
  Tiles tiles;
  const auto add = [&](double count, int rows, int length) {
    const TileClocks tile = tile_clocks(p, c, rows, length, d);
    const double alone = tile.products + tile.epilogue;
    tiles.count += count;
    tiles.clocks += count * std::max(tile.products, alone / at_once);
    tiles.longest = std::max(tiles.longest, alone);
  };
  if (p.op == Op::dW) {
    const double of_expert = double{1} * ceil_div(p.N, c.BLOCK_M) * ceil_div(p.K, c.BLOCK_N);
    for (const int rows : m_sizes) add(of_expert, c.BLOCK_M, rows);
    return tiles;
  }
  for (const int rows : m_sizes) {
    if (rows == 0) continue;
    // Nearly equal row tiles (templates/schedule/expert_tiles.cuh).
    const int row_tiles = ceil_div(rows, c.BLOCK_M);
    const int tile_rows = round_up(ceil_div(rows, row_tiles), grain);
    if (row_tiles > 1) add(n_tiles * (row_tiles - 1), tile_rows, gemm.reduction);
    add(n_tiles, std::max(1, rows - (row_tiles - 1) * tile_rows), gemm.reduction);
  }
  return tiles;
}

/// Weights that are read again for an expert's second row tile and the following.
double reread_bytes(const Problem& p, const KernelConfig& c, std::span<const int> m_sizes) {
  if (p.op == Op::dW || c.BLOCK_M >= keeps_weights) return 0;
  double again = 0;
  for (const int rows : m_sizes) again += rows > 0 ? ceil_div(rows, c.BLOCK_M) - 1 : 0;
  return reread * again * p.N * p.K * element_bytes(p.dtype);
}

/// What it costs to copy rows to expert order.
double copies_us(const Problem& p, const KernelConfig& c, double rows, const DeviceDescription& d) {
  const GatheredRows gathered = gathered_rows(p);
  const double bytes = element_bytes(p.dtype) * (std::ceil(rows / gathered.slots_per_row) + rows) * gathered.length;
  const double us = bytes / (dispatch_gb_per_s / dispatch_reads * d.dram_gb_per_s * 1e3);
  return c.gather == Gather::dispatch ? launch_us + us : copy_ahead_us + copy_ahead_shows * us;
}

}  // namespace

Prediction predict(const Problem& p, const KernelConfig& c, std::span<const int> m_sizes, const DeviceDescription& d) {
  double rows = 0;
  for (const int size : m_sizes) rows += size;
  Prediction out;
  out.fixed = out.total = launch_us;
  if (rows == 0) return out;

  const Tiles tiles = tiles_of(p, c, m_sizes, d);
  const double blocks = static_cast<double>(d.sm_count) * c.ctas_per_sm;
  out.tiles = tiles.count;
  out.waves = tiles.count / blocks;
  const double even = tiles.clocks / d.sm_count;
  const double one_tile = tiles.clocks / tiles.count * c.ctas_per_sm;
  const double units = out.waves / c.cluster;  // a cluster takes its tiles together
  const double drift = c.BLOCK_M >= keeps_weights ? static_drift : 1;
  const double clocks =
      c.tile_source == TileSource::queue ? even + queue_tail * c.cluster * one_tile : even * drift * std::ceil(units) / units;
  // A launch of few tiles takes as long as one of them.
  const double order = c.tile_order == TileOrder::n_fastest ? n_fastest_factor : 1;
  out.compute = (out.waves < 1 ? std::max(even, tiles.longest) : std::max(clocks, tiles.longest)) * order / (d.clock_ghz * 1e3);

  // Bytes in flight bound the rate (Little's law). The producer keeps all stages but the one that is multiplied asked for.
  const double stage_bytes = 2.0 * c.BLOCK_K * (c.BLOCK_N + (p.op == Op::dW ? c.BLOCK_M : std::min(c.BLOCK_M, 16)));
  const double in_flight = std::min(blocks, tiles.count) * (c.stages - 1) * stage_bytes;
  const double dram_rate = d.dram_gb_per_s * 1e3;  // bytes per microsecond
  const double supply = in_flight / (dram_rate * dram_latency_us);
  const double rate = dram_rate * supply / (supply + supply_half);
  Problem read = p;
  const bool copied = copies_rows(p, c);
  if (copied) read.permute_x = read.permute_y = false;  // it reads the copies
  const double tail = out.waves < 1 ? 1 : std::min(std::ceil(out.waves) / out.waves, 1.25);
  const double uneven = c.tile_source == TileSource::queue ? 0.15 : 0.45;
  out.memory = (minimum_bytes(read, m_sizes) + reread_bytes(p, c, m_sizes)) / rate * (1 + uneven * (tail - 1)) * order;

  out.fixed =
      launch_us + pipeline_us + (c.tile_source == TileSource::queue ? queue_us : 0) + (copied ? copies_us(p, c, rows, d) : 0);
  out.total = std::max(out.compute, out.memory) + both_bound * std::min(out.compute, out.memory) + out.fixed;
  return out;
}

}  // namespace moe_tune::sm90
