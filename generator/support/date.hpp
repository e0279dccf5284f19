// Dates of records: UTC, seconds, sortable as text.
#pragma once

#include <string>

namespace moe_tune {

/// The current time as "2026-11-20T12:34:56Z".
std::string utc_now();

}  // namespace moe_tune
