#include <fmt/format.h>

#include <algorithm>

#include "generator/constraints.hpp"
#include "generator/family_constraints.hpp"

namespace moe_tune::sm80 {

int shared_memory_bytes(const Problem& p, const KernelConfigForward& c) {
  return c.stages * (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * element_bytes(p.dtype) + 2 * (p.E + 1) * 4;
}

int register_estimate(const KernelConfigForward& c) {
  const int warp_m = c.BLOCK_M / c.warps_m;
  const int warp_n = c.BLOCK_N / (c.warps / c.warps_m);
  const int accumulators = warp_m * warp_n / 32;
  const int fragments = 2 * (warp_m / 16 * 4 + warp_n / 32 * 8);
  const int a_rows = std::max(1, c.BLOCK_M * c.BLOCK_K / 8 / threads_per_block(c));
  constexpr int addressing = 24;
  return accumulators + fragments + a_rows + addressing;
}

std::optional<std::string> reject(const Problem& p, const KernelConfigForward& c) {
  for (const auto& [fused, name] : {std::pair(p.fuse_mul_pre, "fuse_mul_pre"), std::pair(p.fuse_swiglu, "fuse_swiglu"),
                                    std::pair(p.keep_pre_activation, "keep_pre_activation")}) {
    if (fused) return fmt::format("the epilogue of family sm80 has no {}; family sm90 has, on compute capability 9.0", name);
  }
  if (c.warps % c.warps_m != 0) return fmt::format("warps_m = {} does not divide warps = {}", c.warps_m, c.warps);
  const int warps_n = c.warps / c.warps_m;
  if (c.BLOCK_M % (16 * c.warps_m) != 0) {
    return fmt::format("{} warps along BLOCK_M = {} leave each less than the 16 rows of an MMA", c.warps_m, c.BLOCK_M);
  }
  if (c.BLOCK_N % (32 * warps_n) != 0) {
    return fmt::format("{} warps along BLOCK_N = {} leave each less than a group of 32 columns", warps_n, c.BLOCK_N);
  }
  const int k_blocks = (p.K + c.BLOCK_K - 1) / c.BLOCK_K;
  if (c.stages > std::max(2, k_blocks)) {
    return fmt::format("K = {} has {} k-blocks of {}: more stages than max(2, k-blocks) would only copy zeros", p.K, k_blocks,
                       c.BLOCK_K);
  }
  if (c.warps * c.ctas_per_sm < 4) {
    return fmt::format("{} warps per SM leave {} of its 4 tensor cores idle", c.warps * c.ctas_per_sm,
                       4 - c.warps * c.ctas_per_sm);
  }
  const int in_flight = c.ctas_per_sm * (c.stages - 1) * (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * element_bytes(p.dtype);
  if (in_flight < min_bytes_in_flight && c.stages < std::max(2, k_blocks)) {
    return fmt::format("{} bytes in flight per SM cannot hide the latency of memory (at least {}): more stages or blocks per SM",
                       in_flight, min_bytes_in_flight);
  }
  if (const int registers = register_estimate(c); registers > registers_per_thread_limit) {
    return fmt::format("needs at least {} registers per thread (limit {}): a warp tile of {}x{} is too large", registers,
                       registers_per_thread_limit, c.BLOCK_M / c.warps_m, c.BLOCK_N / warps_n);
  }
  return std::nullopt;
}

}  // namespace moe_tune::sm80
