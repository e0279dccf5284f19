#include "tools/progress.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "tools/terminal.hpp"

namespace moe_tune::cli {

namespace {

constexpr auto shortest_interval = std::chrono::milliseconds(100);

void write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), rewrites_(!quiet && stderr_is_terminal()) {}

Progress::~Progress() { clear(); }

void Progress::update(std::string_view line) {
  const auto now = std::chrono::steady_clock::now();
  if (!rewrites_ || now - last_ < shortest_interval) return;
  last_ = now;
  shown_ = true;
  // A line that wraps could not be taken back.
  write(fmt::format("\r\x1b[K{}", line.substr(0, static_cast<size_t>(stderr_columns() - 1))));
}

void Progress::keep(std::string_view line) {
  if (quiet_) return;
  clear();
  write(fmt::format("{}\n", line));
}

void Progress::clear() {
  if (shown_) write("\r\x1b[K");
  shown_ = false;
}

}  // namespace moe_tune::cli
