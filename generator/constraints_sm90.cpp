#include <fmt/format.h>

#include <algorithm>

#include "generator/constraints.hpp"
#include "generator/family_constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/integer.hpp"

namespace moe_tune::sm90 {

namespace {

constexpr int most_accumulators = 192;  // per thread, of 255 registers
constexpr int registers_beside = 40;    // of a consumer: descriptors, addresses, barriers, the tile
constexpr int moved_registers = 232;    // that setmaxnreg gives two consumer warpgroups
constexpr int mma_rows = 64;            // of the M side
constexpr int swizzle_columns = 64;     // of a 128-byte line

int accumulators(const KernelConfig& c) { return c.BLOCK_M * c.BLOCK_N / (128 * consumers_of_tile(c)); }

/// Slots for rows on their way to the workspace, and mbarriers (templates/mainloop/row_copier.cuh).
int copier_bytes(const Problem& p) {
  const int row = gathered_rows(p).length * element_bytes(p.dtype);
  const int slots = std::clamp(32 * 1024 / row, 2, 8);
  constexpr int rows_ready = 8 * 8;
  return slots * (row + 8) + rows_ready;
}

int stage_bytes(const Problem& p, const KernelConfig& c) { return (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * element_bytes(p.dtype); }

std::optional<std::string> reject_roles(const Problem& p, const KernelConfig& c) {
  if (c.schedule == Schedule::ping_pong && consumer_warpgroups(c) != 2) {
    return fmt::format("ping_pong needs two consumer warpgroups: warps = 12, not {}", c.warps);
  }
  if (c.gather != Gather::dispatch && !gathered_rows(p).any) {
    return fmt::format("without {} there is nothing to gather: gather is dispatch then, which does nothing",
                       p.op == Op::dX ? "permute_y" : "permute_x");
  }
  if (c.cluster > 1) {
    if (c.ctas_per_sm > 1) return fmt::format("a cluster needs ctas_per_sm = 1, not {}", c.ctas_per_sm);
    if (const int tiles = ceil_div(rows_gemm(p).columns, c.BLOCK_N); tiles % c.cluster != 0) {
      return fmt::format("{} columns are {} tiles of {}: a cluster of {} needs a multiple of it", rows_gemm(p).columns, tiles,
                         c.BLOCK_N, c.cluster);
    }
  }
  return std::nullopt;
}

std::optional<std::string> reject_tile(const Problem& p, const KernelConfig& c) {
  const bool swapped = c.mma_m == MmaM::weights;
  const int m_side = swapped ? c.BLOCK_N : c.BLOCK_M;
  const int sharing = consumers_of_tile(c);
  if (m_side % (mma_rows * sharing) != 0) {
    return fmt::format(
        "{} = {} on the MMA's M side is no multiple of {} x 64: each consumer warpgroup of a tile has whole blocks of 64",
        swapped ? "BLOCK_N" : "BLOCK_M", m_side, sharing);
  }
  if (p.fuse_swiglu) {
    const int columns = swapped ? c.BLOCK_N / sharing : c.BLOCK_N;
    if (columns % (2 * swizzle_columns) != 0) {
      return fmt::format(
          "fuse_swiglu needs blocks of 64 gate and of 64 up columns in each consumer; {} columns are no multiple of 128",
          columns);
    }
  }
  if (accumulators(c) > most_accumulators) {
    return fmt::format("{} accumulators per thread (limit {}): a tile of {}x{} is too large for {} consumer warpgroup{}",
                       accumulators(c), most_accumulators, c.BLOCK_M, c.BLOCK_N, sharing, sharing == 1 ? "" : "s");
  }
  return std::nullopt;
}

std::optional<std::string> reject_ring(const Problem& p, const KernelConfig& c) {
  const int reduction = rows_gemm(p).reduction;
  if (c.BLOCK_K > round_up(reduction, swizzle_columns)) {
    return fmt::format("a reduction of {} fits one k-block of {}: a longer one would only copy zeros", reduction,
                       round_up(reduction, swizzle_columns));
  }
  if (const int left = p.K % c.BLOCK_K; left > 0 && left <= c.BLOCK_K - swizzle_columns) {
    return fmt::format("the last k-block of {} would have {} of K = {}: half of it would be a box outside the tensors", c.BLOCK_K,
                       left, p.K);
  }
  // Producers run ahead into the next tile, so that stages past a tile's k-blocks are of use.
  const int in_flight = c.ctas_per_sm * (c.stages - 1) * stage_bytes(p, c);
  if (in_flight < min_bytes_in_flight) {
    return fmt::format("{} bytes in flight per SM cannot hide the latency of memory (at least {}): more stages or blocks per SM",
                       in_flight, min_bytes_in_flight);
  }
  return std::nullopt;
}

/// Of dW (templates/kernels/weights_sm90.cuh): both operands have lines of 64 along the MMA's sides.
std::optional<std::string> reject_weights(const Problem& p, const KernelConfig& c) {
  if (c.mma_m != MmaM::tokens) return std::string("dW has no tokens on a side of the MMA: mma_m is tokens, which does nothing");
  if (c.cluster != 1) return fmt::format("the blocks of dW share nothing: cluster is 1, not {}", c.cluster);
  if (c.gather != Gather::dispatch) return std::string("dW loads rows in expert order: gather is dispatch");
  if (c.schedule == Schedule::ping_pong && consumer_warpgroups(c) != 2) {
    return fmt::format("ping_pong needs two consumer warpgroups: warps = 12, not {}", c.warps);
  }
  if (c.BLOCK_M % (mma_rows * consumers_of_tile(c)) != 0) {
    return fmt::format(
        "BLOCK_M = {} on the MMA's M side is no multiple of {} x 64: each consumer warpgroup of a tile has whole blocks of 64",
        c.BLOCK_M, consumers_of_tile(c));
  }
  if (c.BLOCK_N % swizzle_columns != 0)
    return fmt::format("BLOCK_N = {} is no multiple of {}: TMA brings lines of 64", c.BLOCK_N, swizzle_columns);
  if (accumulators(c) > most_accumulators) {
    return fmt::format("{} accumulators per thread (limit {}): a tile of {}x{} is too large for {} consumer warpgroup{}",
                       accumulators(c), most_accumulators, c.BLOCK_M, c.BLOCK_N, consumers_of_tile(c),
                       consumers_of_tile(c) == 1 ? "" : "s");
  }
  if (p.N < c.BLOCK_M / 2 || p.K < c.BLOCK_N / 2) {
    return fmt::format("more than half of a tile of {}x{} lies outside a weight of {}x{}", c.BLOCK_M, c.BLOCK_N, p.N, p.K);
  }
  return std::nullopt;
}

int weights_shared_bytes(const Problem& p, const KernelConfig& c) {
  // Every consumer stages what it stores of a tile in buffers of its own: two where they fit. Of float32 half the columns at a
  // time.
  const int tiles_at_once = c.schedule == Schedule::ping_pong ? 2 : 1;
  const int staging = tiles_at_once * c.BLOCK_M * swizzle_columns * element_bytes(p.dtype);
  const int prefix_sums = round_up(8 * (p.E + 1), 16);
  constexpr int tile_slots = 64 + 64;
  const int barriers = 16 * c.stages + 48;
  const int others = c.stages * stage_bytes(p, c) + prefix_sums + tile_slots + barriers;
  const int most = 228 * 1024 / c.ctas_per_sm - 1024;
  return others + staging * (others + 2 * staging <= most ? 2 : 1);
}

}  // namespace

int shared_memory_bytes(const Problem& p, const KernelConfig& c) {
  if (p.op == Op::dW) return weights_shared_bytes(p, c);
  // Ping-pong consumers share a staging buffer, cooperative ones have one each for the rows that they store.
  const int rows_stored =
      c.schedule == Schedule::cooperative && c.mma_m == MmaM::weights ? consumer_warpgroups(c) * c.BLOCK_M : c.BLOCK_M;
  const int staging = rows_stored * swizzle_columns * element_bytes(p.dtype);
  // Two tables with barriers: slots, and scales where rows are scaled.
  const RowsGemm gemm = rows_gemm(p);
  const int row_bytes = (gemm.scatters || p.fuse_mul_pre ? 4 : 0) + (p.fuse_mul_post || p.fuse_mul_pre ? 4 : 0);
  const int row_tables = 2 * row_bytes * c.BLOCK_M + 2 * 16;
  const int gathered = gathered_rows(p).any && c.gather == Gather::in_kernel ? 4 * c.BLOCK_M : 0;
  const int copier = gathered_rows(p).any && c.gather == Gather::copy_ahead ? copier_bytes(p) : 0;
  const int prefix_sums = round_up(8 * (p.E + 1), 16);
  constexpr int tile_slots = 64 + 64;
  const int barriers = 16 * c.stages + 32;
  return c.stages * stage_bytes(p, c) + staging + row_tables + gathered + prefix_sums + tile_slots + barriers + copier;
}

int register_estimate(const KernelConfig& c) { return accumulators(c) + registers_beside; }

int registers_available(const KernelConfig& c, int even_share) {
  if (consumer_warpgroups(c) == 1 || c.ctas_per_sm > 1) return even_share;
  return moved_registers;
}

std::optional<std::string> reject(const Problem& p, const KernelConfig& c) {
  if (p.op == Op::dW) return reject_weights(p, c);
  if (auto reason = reject_roles(p, c)) return reason;
  if (auto reason = reject_tile(p, c)) return reason;
  return reject_ring(p, c);
}

}  // namespace moe_tune::sm90
