// What a name that is not there may have been meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moe_tune {

/// "; near it: a, b, c": up to three of `names` that share the longest beginning or end with `wanted`; empty where none is near.
std::string near_names(const std::vector<std::string_view>& names, std::string_view wanted);

}  // namespace moe_tune
