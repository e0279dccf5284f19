// Kernel configs of the C API.
#pragma once

#include "moe_tune/config.hpp"
#include "moe_tune/moe_tune.h"

namespace moe_tune {

/// The config that a caller gave as `name`. Throws UsageError for a value that is none; whether it can serve is checked elsewhere.
KernelConfig kernel_config(const char* name, const moe_tune_config_forward& given);

}  // namespace moe_tune
