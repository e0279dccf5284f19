// What one JSON value has more than another: how fields of later versions survive a rewrite by this one.
#pragma once

#include "generator/support/json.hpp"

namespace moe_tune {

/// The members of `full` that `known` lacks, at any depth: objects are compared by key, arrays of equal length by index. Null
/// when there are none.
Json json_difference(const Json& full, const Json& known);

/// Puts what json_difference found into `value`, never replacing what is there.
void add_json_difference(Json& value, const Json& difference);

}  // namespace moe_tune
