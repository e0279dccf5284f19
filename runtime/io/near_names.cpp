#include "runtime/io/near_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace moe_tune {

std::string near_names(const std::vector<std::string_view>& names, std::string_view wanted) {
  constexpr std::size_t shown = 3;
  std::vector<std::pair<std::size_t, std::string_view>> near;  // with how much they share
  for (const std::string_view name : names) {
    const auto beginning = std::mismatch(name.begin(), name.end(), wanted.begin(), wanted.end()).first - name.begin();
    const auto end = std::mismatch(name.rbegin(), name.rend(), wanted.rbegin(), wanted.rend()).first - name.rbegin();
    const auto shared = static_cast<std::size_t>(std::max(beginning, end));
    if (2 * shared >= wanted.size()) near.emplace_back(shared, name);
  }
  const auto last = near.begin() + static_cast<std::ptrdiff_t>(std::min(shown, near.size()));
  std::partial_sort(near.begin(), last, near.end(),
                    [](const auto& a, const auto& b) { return std::pair(b.first, a.second) < std::pair(a.first, b.second); });
  std::string text;
  for (auto name = near.begin(); name != last; ++name) {
    text += fmt::format("{}{:.200}", text.empty() ? "; near it: " : ", ", name->second);
  }
  return text;
}

}  // namespace moe_tune
