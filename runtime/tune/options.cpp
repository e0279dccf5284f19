#include "runtime/tune/options.hpp"

#include <fmt/format.h>

#include <array>

#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

constexpr std::array<std::string_view, 3> names = {"model", "exhaustive", "random"};

}  // namespace

std::string_view to_string(Strategy strategy) { return names[static_cast<std::size_t>(strategy)]; }

Strategy parse_strategy(std::string_view text) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return static_cast<Strategy>(i);
  }
  throw UsageError(fmt::format("strategy \"{}\" is not one of: {}", text, fmt::join(names, ", ")));
}

}  // namespace moe_tune
