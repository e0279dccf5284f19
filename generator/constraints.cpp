#include "generator/constraints.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "generator/family_constraints.hpp"

namespace moe_tune {

namespace {

/// Registers of the threads that hold accumulators, with ctas_per_sm blocks on an SM.
int registers_available(const KernelConfig& c, const DeviceDescription& d) {
  // The compiler rounds registers to 8 per thread.
  const int share = std::min(registers_per_thread_limit, d.registers_per_sm / (c.ctas_per_sm * threads_per_block(c)) / 8 * 8);
  return c.family == Family::sm90 ? sm90::registers_available(c, share) : share;
}

}  // namespace

int threads_per_block(const KernelConfig& c) { return 32 * c.warps; }

int shared_memory_bytes(const Problem& p, const KernelConfig& c) {
  return c.family == Family::sm90 ? sm90::shared_memory_bytes(p, c) : sm80::shared_memory_bytes(p, c);
}

int register_estimate(const Problem& p, const KernelConfig& c) {
  return c.family == Family::sm90 ? sm90::register_estimate(c) : sm80::register_estimate(p, c);
}

bool runs_on(Family family, const DeviceDescription& d) {
  return family == Family::sm90 ? d.compute_capability() == 90 : d.compute_capability() >= 80;
}

std::optional<std::string> reject(const Problem& p, const KernelConfig& c) {
  if (auto reason = reject_field_values(c)) return reason;
  return c.family == Family::sm90 ? sm90::reject(p, c) : sm80::reject(p, c);
}

std::optional<std::string> reject(const Problem& p, const KernelConfig& c, const DeviceDescription& d) {
  if (auto reason = reject(p, c)) return reason;
  if (!runs_on(c.family, d)) {
    return fmt::format("{} has compute capability {}.{}; family {}", d.name, d.cc_major, d.cc_minor,
                       c.family == Family::sm90 ? "sm90 needs exactly 9.0" : "sm80 needs 8.0");
  }
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
  const int available = registers_available(c, d);
  if (const int registers = register_estimate(p, c); registers > available) {
    return fmt::format("needs at least {} registers per thread; {} blocks of {} threads per SM leave {}", registers,
                       c.ctas_per_sm, threads_per_block(c), available);
  }
  return std::nullopt;
}

}  // namespace moe_tune
