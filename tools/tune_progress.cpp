#include "tools/tune_progress.hpp"

#include <fmt/format.h>

#include "tools/units.hpp"

namespace moe_tune::cli {

void TuneProgress::on_point_start(const PointPlan& point, int index, int count, double seconds_left) {
  point_ = fmt::format("[{}/{}] {}, {} token{}", index + 1, count, gemm_label(point.problem), point.tokens,
                       point.tokens == 1 ? "" : "s");
  left_at_start_ = seconds_left;
  start_ = Clock::now();
  progress_.update(fmt::format("{}, {}", point_, time_left()));
}

void TuneProgress::on_progress(Stage stage, int done, int total) {
  progress_.update(fmt::format("{}: {} {}/{}, {}", point_, to_string(stage), done, total, time_left()));
}

void TuneProgress::on_point_end(const PointResult& result) {
  if (!result.entry) {
    progress_.keep(fmt::format("{}: {}: {}", point_, to_string(result.status), result.message));
    return;
  }
  progress_.keep(fmt::format("{}: {} {}, {:.1f} us", point_, to_string(result.status), to_string(result.entry->config),
                             result.entry->time.median));
}

void TuneProgress::on_warning(const std::string& warning) { progress_.keep("moe-tune: warning: " + warning); }

std::string TuneProgress::time_left() const {
  const double left = left_at_start_ - std::chrono::duration<double>(Clock::now() - start_).count();
  return left > 0 ? duration_text(left) + " left" : "longer than expected";
}

}  // namespace moe_tune::cli
