// Values of flags that are more than a word or a number. Every function throws UsageError naming the flag, the text and the form.
#pragma once

#include <string_view>

#include "moe_tune/config.hpp"

namespace moe_tune::cli {

/// --time: "MM:SS" or "HH:MM:SS" in seconds, more than 0.
double parse_time_limit(std::string_view text);

/// --min-gain: "1%" or "0.5%" as a fraction (0.01), 0% to 100%.
double parse_percent(std::string_view text);

/// --set: `base` with "BLOCK_M=64,stages=4" applied. Names and aliases of config_fields(). When the tile or the warps change and
/// warps_m of an sm80 config is not given, it becomes the default split. The family stays what it is.
KernelConfig apply_settings(KernelConfig base, std::string_view text);

}  // namespace moe_tune::cli
