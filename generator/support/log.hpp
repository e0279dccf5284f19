// Messages for the person who runs the program; results never go through here.
#pragma once

#include <string_view>

namespace moe_tune {

enum class LogLevel { error, warn, info, debug };

/// The most talkative level that is printed: MOE_TUNE_LOG=error|warn|info|debug, read once; warn when unset or misspelt.
LogLevel log_threshold();

/// Writes "moe-tune: <level>: <text>\n" to stderr in one call, if `level` is within the threshold. Thread-safe.
void log_line(LogLevel level, std::string_view text);

}  // namespace moe_tune
