// Numbers and texts for people.
#pragma once

#include <cstdint>
#include <string>

#include "moe_tune/problem.hpp"

namespace moe_tune::cli {

/// "0.4 s", "12 s", "3m05s", "2h07m".
std::string duration_text(double seconds);

/// "512 B", "1.5 MB", "32.2 GB": decimal, as memory and bandwidth are quoted.
std::string bytes_text(std::int64_t bytes);

/// Which GEMM of a layer: "gate_up" of forward, "dX of gate_up".
std::string gemm_label(const Problem& problem);

/// `text` up to its first line break.
std::string first_line(const std::string& text);

}  // namespace moe_tune::cli
