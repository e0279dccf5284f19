// A tuning plan as text.
#pragma once

#include <string>

#include "runtime/tune/plan.hpp"
#include "tools/table.hpp"

namespace moe_tune::cli {

/// One row per GEMM and token count.
Table plan_table(const TunePlan& plan);

/// What surrounds the table: for which device, how many candidates, which memory and how much of it there is, how long.
std::string plan_summary(const TuneOptions& options, const TunePlan& plan);

}  // namespace moe_tune::cli
