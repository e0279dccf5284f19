#include "generator/support/log.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace moe_tune {
namespace {

constexpr std::array<std::string_view, 4> level_names = {"error", "warn", "info", "debug"};

LogLevel threshold_from_environment() {
  const char* wanted = std::getenv("MOE_TUNE_LOG");
  for (size_t i = 0; wanted != nullptr && i < level_names.size(); ++i) {
    if (level_names[i] == wanted) return static_cast<LogLevel>(i);
  }
  return LogLevel::warn;
}

}  // namespace

LogLevel log_threshold() {
  static const LogLevel threshold = threshold_from_environment();
  return threshold;
}

void log_line(LogLevel level, std::string_view text) {
  if (level > log_threshold()) return;
  const std::string line = fmt::format("moe-tune: {}: {}\n", level_names[static_cast<size_t>(level)], text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace moe_tune
