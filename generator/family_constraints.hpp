// What the constraints of one kernel family answer to generator/constraints.hpp. Fields have values of the family's config space.
#pragma once

#include <optional>
#include <string>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// Of a thread, in the instruction set.
inline constexpr int registers_per_thread_limit = 255;

/// Below this the latency of memory shows whatever the shape: about 1 us times an SM's share of the bandwidth is 32 KiB.
inline constexpr int min_bytes_in_flight = 24 * 1024;

namespace sm80 {
int shared_memory_bytes(const Problem& problem, const KernelConfig& config);
int register_estimate(const Problem& problem, const KernelConfig& config);
std::optional<std::string> reject(const Problem& problem, const KernelConfig& config);
}  // namespace sm80

namespace sm90 {
int shared_memory_bytes(const Problem& problem, const KernelConfig& config);
int register_estimate(const KernelConfig& config);
std::optional<std::string> reject(const Problem& problem, const KernelConfig& config);
/// Of a consumer thread, where the compiler would give every thread `even_share`.
int registers_available(const KernelConfig& config, int even_share);
}  // namespace sm90

}  // namespace moe_tune
