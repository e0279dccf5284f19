// Progress on stderr: one line that is rewritten on a terminal; elsewhere only what is worth keeping in a log.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace moe_tune::cli {

class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Replaces the current line, at most ten times a second. Nothing unless stderr is a terminal.
  void update(std::string_view line);
  /// A line that stays.
  void keep(std::string_view line);

 private:
  void clear();

  bool quiet_;
  bool rewrites_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace moe_tune::cli
