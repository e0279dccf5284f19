#include "tools/tune_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/units.hpp"

namespace moe_tune::cli {

Table plan_table(const TunePlan& plan) {
  Table table({{"op"},
               {"gemm"},
               {"tokens"},
               {"tokens_from"},
               {"tokens_to"},
               {"space"},
               {"compile"},
               {"measure"},
               {"device_gb", 2},
               {"seconds", 0},
               {"state"},
               {"problem", 0, true}});
  for (const PointPlan& point : plan.points) {
    table.add_row({std::string(to_string(point.problem.op)), std::string(to_string(point.problem.gemm)),
                   std::int64_t{point.tokens}, point.range.lo, point.range.hi, std::int64_t{point.space},
                   std::int64_t{point.compile}, std::int64_t{point.measure},
                   point.device_bytes > 0 ? Value(static_cast<double>(point.device_bytes) * 1e-9) : Value(), point.seconds,
                   std::string(point.done ? "done" : "to do"), describe(point.problem)});
  }
  return table;
}

std::string plan_summary(const TuneOptions& options, const TunePlan& plan) {
  const auto done = std::count_if(plan.points.begin(), plan.points.end(), [](const PointPlan& p) { return p.done; });
  std::string text = fmt::format("device:        {} ({})\n", options.target.env.key.name,
                                 options.target.live ? "measuring on it" : "not here: predicting for it");
  text += fmt::format("work:          {} points, {} of them done by earlier runs; {} kernels to compile, {} to verify and time\n",
                      plan.points.size(), done, plan.compile(), plan.measure());
  if (options.target.live) {
    text += fmt::format("device memory: {} of {} free (a layer's expert weights: {})\n", bytes_text(plan.device_bytes),
                        bytes_text(plan.device_available), bytes_text(plan.layer_weight_bytes));
  }
  text += fmt::format("host memory:   {} of {} available\n", bytes_text(plan.host_bytes), bytes_text(plan.host_available));
  text += fmt::format("database:      {}\n", options.database.string());
  return text + fmt::format("time:          about {}\n", duration_text(plan.seconds));
}

}  // namespace moe_tune::cli
