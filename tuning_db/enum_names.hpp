// Spellings of enums: one table per enum serves printing and parsing.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "generator/support/json.hpp"

namespace moe_tune {

/// Names of an enum's values, in the order of the values.
template <class Enum, size_t count>
struct EnumNames {
  std::array<std::string_view, count> names;

  std::string_view name(Enum value) const { return names[static_cast<size_t>(value)]; }

  /// The value that `view` spells. Throws UsageError naming the place and the allowed spellings.
  Enum parse(const JsonView& view) const {
    const std::string text = view.string();
    std::string allowed;
    for (size_t i = 0; i < count; ++i) {
      if (names[i] == text) return static_cast<Enum>(i);
      allowed += (i == 0 ? "" : ", ") + std::string(names[i]);
    }
    view.fail("\"" + text + "\" is not one of " + allowed);
  }
};

}  // namespace moe_tune
