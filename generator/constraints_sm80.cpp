#include <fmt/format.h>

#include <algorithm>
#include <climits>

#include "generator/constraints.hpp"
#include "generator/family_constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/integer.hpp"

namespace moe_tune::sm80 {

namespace {

constexpr int slab_columns = 32;  // of an operand whose rows run along the reduction

int stage_bytes(const Problem& p, const KernelConfig& c) { return (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * element_bytes(p.dtype); }

/// Registers with addresses of rows that a thread copies. Forward and dX: tokens. dW: rows of dY and of X, 64 bits each.
int row_registers(const Problem& p, const KernelConfig& c) {
  if (p.op == Op::dW) return 4 * std::max(1, c.BLOCK_K * (slab_columns / 8) / threads_per_block(c));
  return std::max(1, c.BLOCK_M * c.BLOCK_K / 8 / threads_per_block(c));
}

/// k-blocks of a tile; of dW, where experts have different ones, as many as can be.
int most_k_blocks(const Problem& p, const KernelConfig& c) {
  return p.op == Op::dW ? INT_MAX : ceil_div(rows_gemm(p).reduction, c.BLOCK_K);
}

std::optional<std::string> reject_tile(const Problem& p, const KernelConfig& c) {
  if (c.warps % c.warps_m != 0) return fmt::format("warps_m = {} does not divide warps = {}", c.warps_m, c.warps);
  const int warps_n = c.warps / c.warps_m;
  if (c.BLOCK_M % (16 * c.warps_m) != 0) {
    return fmt::format("{} warps along BLOCK_M = {} leave each less than the 16 rows of an MMA", c.warps_m, c.BLOCK_M);
  }
  if (c.BLOCK_N % (32 * warps_n) != 0) {
    return fmt::format("{} warps along BLOCK_N = {} leave each less than a group of 32 columns", warps_n, c.BLOCK_N);
  }
  if (p.op == Op::dW && c.BLOCK_M % slab_columns != 0) {
    return fmt::format("BLOCK_M = {} is no multiple of {}: dW reads dY in slabs of {} columns", c.BLOCK_M, slab_columns,
                       slab_columns);
  }
  return std::nullopt;
}

std::optional<std::string> reject_ring(const Problem& p, const KernelConfig& c) {
  const int most_stages = std::max(2, most_k_blocks(p, c));
  if (c.stages > most_stages) {
    return fmt::format("a reduction of {} has {} k-blocks of {}: more stages than max(2, k-blocks) would only copy zeros",
                       rows_gemm(p).reduction, most_k_blocks(p, c), c.BLOCK_K);
  }
  const int in_flight = c.ctas_per_sm * (c.stages - 1) * stage_bytes(p, c);
  if (in_flight < min_bytes_in_flight && c.stages < most_stages) {
    return fmt::format("{} bytes in flight per SM cannot hide the latency of memory (at least {}): more stages or blocks per SM",
                       in_flight, min_bytes_in_flight);
  }
  return std::nullopt;
}

}  // namespace

int shared_memory_bytes(const Problem& p, const KernelConfig& c) { return c.stages * stage_bytes(p, c) + 2 * (p.E + 1) * 4; }

int register_estimate(const Problem& p, const KernelConfig& c) {
  const int warp_m = c.BLOCK_M / c.warps_m;
  const int warp_n = c.BLOCK_N / (c.warps / c.warps_m);
  const int accumulators = warp_m * warp_n / 32;
  const int fragments = 2 * (warp_m / 16 * 4 + warp_n / 32 * 8);
  constexpr int addressing = 24;
  return accumulators + fragments + row_registers(p, c) + addressing;
}

std::optional<std::string> reject(const Problem& p, const KernelConfig& c) {
  for (const auto& [fused, name] : {std::pair(p.fuse_mul_pre, "fuse_mul_pre"), std::pair(p.fuse_swiglu, "fuse_swiglu"),
                                    std::pair(p.keep_pre_activation, "keep_pre_activation")}) {
    if (fused) return fmt::format("the epilogue of family sm80 has no {}; family sm90 has, on compute capability 9.0", name);
  }
  if (auto reason = reject_tile(p, c)) return reason;
  if (auto reason = reject_ring(p, c)) return reason;
  if (c.warps * c.ctas_per_sm < 4) {
    return fmt::format("{} warps per SM leave {} of its 4 tensor cores idle", c.warps * c.ctas_per_sm,
                       4 - c.warps * c.ctas_per_sm);
  }
  if (const int registers = sm80::register_estimate(p, c); registers > registers_per_thread_limit) {
    return fmt::format("needs at least {} registers per thread (limit {}): a warp tile of {}x{} is too large", registers,
                       registers_per_thread_limit, c.BLOCK_M / c.warps_m, c.BLOCK_N / (c.warps / c.warps_m));
  }
  return std::nullopt;
}

}  // namespace moe_tune::sm80
