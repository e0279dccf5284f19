// Numbers and texts for people.
#pragma once

#include <cstdint>
#include <string>

namespace moe_tune::cli {

/// "0.4 s", "12 s", "3m05s", "2h07m".
std::string duration_text(double seconds);

/// "512 B", "1.5 MB", "32.2 GB": decimal, as memory and bandwidth are quoted.
std::string bytes_text(std::int64_t bytes);

/// `text` up to its first line break.
std::string first_line(const std::string& text);

}  // namespace moe_tune::cli
