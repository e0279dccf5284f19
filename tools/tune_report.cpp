#include "tools/tune_report.hpp"

#include <fmt/format.h>

namespace moe_tune::cli {

namespace {

std::string range_text(const TokenRange& range) {
  return range.lo == range.hi ? std::to_string(range.lo) : fmt::format("{}-{}", range.lo, range.hi);
}

std::string remark(const PointResult& point) {
  if (!point.message.empty()) return point.message;
  if (point.status == PointStatus::resumed) return "from an earlier run";
  return point.kept_default ? "the default" : "";
}

}  // namespace

Table tune_report(const TuneResult& result) {
  Table table({{"op"},
               {"gemm"},
               {"tokens"},
               {"range"},
               {"config"},
               {"us"},
               {"TFLOP/s"},
               {"GB/s", 0},
               {"roofline_pct", 0},
               {"gain_pct"},
               {"source"},
               {"remark"},
               {"status", 0, true},
               {"us_ci95_from", 0, true},
               {"us_ci95_to", 0, true},
               {"default_config", 0, true},
               {"default_us", 0, true},
               {"space", 0, true},
               {"compiled", 0, true},
               {"verified", 0, true},
               {"measured", 0, true},
               {"failed", 0, true},
               {"rank_of_best_in_model", 0, true},
               {"model_first_loss_pct", 0, true},
               {"model_best_of_five_loss_pct", 0, true},
               {"seconds", 0, true}});
  for (const PointResult& p : result.points) {
    const Entry* entry = p.entry ? &*p.entry : nullptr;
    const Baseline* baseline = entry != nullptr && entry->baseline ? &*entry->baseline : nullptr;
    const auto known = [entry](Value value) { return entry != nullptr ? std::move(value) : Value(); };
    const auto modelled = [&p](Value value) { return p.model ? std::move(value) : Value(); };
    const ModelQuality model = p.model.value_or(ModelQuality{});
    const Entry shown = entry != nullptr ? *entry : Entry{};
    table.add_row({std::string(to_string(p.problem.op)),
                   std::string(to_string(p.problem.gemm)),
                   std::int64_t{p.tokens},
                   known(range_text(shown.tokens)),
                   known(to_string(shown.config)),
                   known(shown.time.median),
                   known(p.tflops),
                   known(p.gb_per_s),
                   known(100 * p.roofline),
                   baseline != nullptr ? Value(100 * (baseline->speedup - 1)) : Value(),
                   known(std::string(to_string(shown.source))),
                   remark(p),
                   std::string(to_string(p.status)),
                   known(shown.time.ci95[0]),
                   known(shown.time.ci95[1]),
                   baseline != nullptr ? Value(to_string(baseline->config)) : Value(),
                   baseline != nullptr ? Value(baseline->median) : Value(),
                   std::int64_t{p.space},
                   std::int64_t{p.compiled},
                   std::int64_t{p.verified},
                   std::int64_t{p.measured},
                   std::int64_t{p.failed},
                   modelled(std::int64_t{model.rank_of_best}),
                   modelled(model.first_loss),
                   modelled(model.best_of_five_loss),
                   p.seconds});
  }
  return table;
}

}  // namespace moe_tune::cli
