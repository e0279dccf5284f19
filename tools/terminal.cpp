#include "tools/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace moe_tune::cli {

namespace {

bool colour(int stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool unwanted = (no_color != nullptr && *no_color != '\0') || terminal == nullptr || std::string_view(terminal) == "dumb";
  return !unwanted && isatty(stream) != 0;
}

}  // namespace

bool colour_stdout() { return colour(STDOUT_FILENO); }
bool colour_stderr() { return colour(STDERR_FILENO); }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) != 0; }

int stderr_columns() {
  constexpr int usual = 80;
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

}  // namespace moe_tune::cli
