// Every config that can serve a problem on a device.
#pragma once

#include <string>
#include <vector>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// The configs that satisfy every constraint, of each family that runs on the device the product of its fields' values; in a
/// fixed order.
std::vector<KernelConfig> config_space(const Problem& problem, const DeviceDescription& device);

struct RejectedConfig {
  KernelConfig config;
  std::string reason;
};

/// The configs of these products that are not in the space, each with its reason.
std::vector<RejectedConfig> rejected_configs(const Problem& problem, const DeviceDescription& device);

/// Whether the config is in the space.
bool in_config_space(const Problem& problem, const KernelConfig& config, const DeviceDescription& device);

}  // namespace moe_tune
