// A tuning run as the person at the terminal follows it.
#pragma once

#include <chrono>
#include <string>

#include "runtime/tune/tuner.hpp"
#include "tools/progress.hpp"

namespace moe_tune::cli {

class TuneProgress final : public TuneObserver {
 public:
  explicit TuneProgress(bool quiet) : progress_(quiet) {}

  void on_point_start(const PointPlan& point, int index, int count, double seconds_left) override;
  void on_progress(Stage stage, int done, int total) override;
  void on_point_end(const PointResult& result) override;
  void on_warning(const std::string& warning) override;

 private:
  using Clock = std::chrono::steady_clock;

  std::string time_left() const;

  Progress progress_;
  std::string point_;  ///< "[3/16] gate_up, 64 tokens"
  double left_at_start_ = 0;
  Clock::time_point start_{};
};

}  // namespace moe_tune::cli
