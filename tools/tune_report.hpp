// The result of a tuning run as a table.
#pragma once

#include "runtime/tune/tuner.hpp"
#include "tools/table.hpp"

namespace moe_tune::cli {

/// One row per GEMM and token range. Times and rates of predicted rows are the analytic model's; the column `source` tells.
Table tune_report(const TuneResult& result);

}  // namespace moe_tune::cli
