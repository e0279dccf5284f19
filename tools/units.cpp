#include "tools/units.hpp"

#include <fmt/format.h>

#include <cmath>

namespace moe_tune::cli {

std::string duration_text(double seconds) {
  constexpr double shown_with_tenths = 9.95;
  if (seconds < shown_with_tenths) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

std::string bytes_text(std::int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    // What would print as 1000.0 belongs to the next unit.
    if (value < 999.95) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

std::string gemm_label(const Problem& problem) {
  if (problem.op == Op::forward) return std::string(to_string(problem.gemm));
  return fmt::format("{} of {}", to_string(problem.op), to_string(problem.gemm));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace moe_tune::cli
