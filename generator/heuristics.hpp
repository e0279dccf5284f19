// The default config: good without tuning, and what every tuned config has to beat.
#pragma once

#include <cstdint>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// A config of the space for `tokens` tokens, chosen by the mean number of rows per expert and the limits of the device.
KernelConfig default_config(const Problem& problem, std::int64_t tokens, const DeviceDescription& device);

}  // namespace moe_tune
