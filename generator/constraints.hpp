// What a config must satisfy: on any device, and on a given one. Every rejection is a sentence that can be shown to a user.
#pragma once

#include <optional>
#include <string>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// Threads of a block.
/// Consumer warpgroups of an sm90 block: all but the producers'.
constexpr int consumer_warpgroups(const KernelConfig& config) { return config.warps / 4 - 1; }
/// Those that share a tile.
constexpr int consumers_of_tile(const KernelConfig& config) {
  return config.schedule == Schedule::cooperative ? consumer_warpgroups(config) : 1;
}

int threads_per_block(const KernelConfig& config);

/// Dynamic shared memory of a block, exactly: the ring of stages, the schedule's prefix sums and what else the family keeps
/// there.
int shared_memory_bytes(const Problem& problem, const KernelConfig& config);

/// Registers that a thread of the kernel needs at least (sm90: of a consumer): accumulators, fragments, copy state. A lower bound
/// that prunes configs that must spill; the compiler's report has the last word.
int register_estimate(const Problem& problem, const KernelConfig& config);

/// Whether kernels of `family` run on the device at all.
bool runs_on(Family family, const DeviceDescription& device);

/// Why `config` cannot serve `problem` on any device; nothing when it can.
std::optional<std::string> reject(const Problem& problem, const KernelConfig& config);

/// The same with the limits of `device`: shared memory, registers, architecture.
std::optional<std::string> reject(const Problem& problem, const KernelConfig& config, const DeviceDescription& device);

}  // namespace moe_tune
