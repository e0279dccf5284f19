#include "generator/constraints.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace moe_tune {

namespace {

constexpr int registers_per_thread_limit = 255;
constexpr int min_bytes_in_flight = 24 * 1024;

std::optional<std::string> reject_field_values(const KernelConfigForward& c) {
  for (const ConfigField& field : forward_fields()) {
    if (std::find(field.allowed.begin(), field.allowed.end(), field.get(c)) == field.allowed.end()) {
      return fmt::format("{} = {} is not one of {}", field.name, field.get(c), fmt::join(field.allowed, ", "));
    }
  }
  return std::nullopt;
}

}  // namespace

int threads_per_block(const KernelConfigForward& c) { return 32 * c.warps; }

int shared_memory_bytes(const Problem& p, const KernelConfigForward& c) {
  return c.stages * (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * element_bytes(p.dtype) + 2 * (p.E + 1) * 4;
}

int register_estimate(const Problem&, const KernelConfigForward& c) {
  const int warp_m = c.BLOCK_M / c.warps_m;
  const int warp_n = c.BLOCK_N / (c.warps / c.warps_m);
  const int accumulators = warp_m * warp_n / 32;
  const int fragments = 2 * (warp_m / 16 * 4 + warp_n / 32 * 8);
  const int a_rows = std::max(1, c.BLOCK_M * c.BLOCK_K / 8 / threads_per_block(c));
  constexpr int addressing = 24;
  return accumulators + fragments + a_rows + addressing;
}

std::optional<std::string> reject(const Problem& p, const KernelConfigForward& c) {
  if (auto reason = reject_field_values(c)) return reason;
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
  // Below this the latency of memory shows whatever the shape: about 1 us times an SM's share of the bandwidth is 32 KiB.
  const int in_flight = c.ctas_per_sm * (c.stages - 1) * (c.BLOCK_M + c.BLOCK_N) * c.BLOCK_K * element_bytes(p.dtype);
  if (in_flight < min_bytes_in_flight && c.stages < std::max(2, k_blocks)) {
    return fmt::format("{} bytes in flight per SM cannot hide the latency of memory (at least {}): more stages or blocks per SM",
                       in_flight, min_bytes_in_flight);
  }
  if (const int registers = register_estimate(p, c); registers > registers_per_thread_limit) {
    return fmt::format("needs at least {} registers per thread (limit {}): a warp tile of {}x{} is too large", registers,
                       registers_per_thread_limit, c.BLOCK_M / c.warps_m, c.BLOCK_N / warps_n);
  }
  return std::nullopt;
}

std::optional<std::string> reject(const Problem& p, const KernelConfigForward& c, const DeviceDescription& d) {
  if (auto reason = reject(p, c)) return reason;
  if (d.compute_capability() < 80)
    return fmt::format("{} has compute capability {}.{}; family sm80 needs 8.0", d.name, d.cc_major, d.cc_minor);
  const int shared = shared_memory_bytes(p, c);
  if (shared > d.shared_per_block) {
    return fmt::format("needs {} bytes of shared memory per block ({} stages of {}x{}x{}); {} has {}", shared, c.stages,
                       c.BLOCK_M, c.BLOCK_N, c.BLOCK_K, d.name, d.shared_per_block);
  }
  const int resident = c.ctas_per_sm * (shared + d.shared_reserved_per_block);
  if (resident > d.shared_per_sm) {
    return fmt::format("{} blocks per SM need {} bytes of shared memory; {} has {} per SM", c.ctas_per_sm, resident, d.name,
                       d.shared_per_sm);
  }
  const int threads = c.ctas_per_sm * threads_per_block(c);
  if (threads > d.threads_per_sm) return fmt::format("{} threads per SM; {} holds {}", threads, d.name, d.threads_per_sm);
  // The compiler rounds registers to 8 per thread.
  const int available = std::min(registers_per_thread_limit, d.registers_per_sm / threads / 8 * 8);
  if (const int registers = register_estimate(p, c); registers > available) {
    return fmt::format("needs at least {} registers per thread; {} blocks of {} threads per SM leave {}", registers,
                       c.ctas_per_sm, threads_per_block(c), available);
  }
  return std::nullopt;
}

}  // namespace moe_tune
