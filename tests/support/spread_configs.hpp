// Few configs that stand for a whole config space.
#pragma once

#include <algorithm>
#include <random>
#include <set>
#include <string_view>
#include <tuple>
#include <vector>

#include "moe_tune/config.hpp"

namespace moe_tune::test {

/// Configs until every pair of (field, value) that occurs in the space of a family has occurred there `times` times.
inline std::vector<KernelConfig> spread(std::vector<KernelConfig> space, int times) {
  std::shuffle(space.begin(), space.end(), std::mt19937(1));
  std::multiset<std::tuple<Family, std::string_view, int>> seen;
  std::vector<KernelConfig> chosen;
  for (const KernelConfig& config : space) {
    bool needed = false;
    for (const ConfigField& field : config_fields()) {
      needed |= static_cast<int>(seen.count({config.family, field.name, field.get(config)})) < times;
    }
    if (!needed) continue;
    for (const ConfigField& field : config_fields()) seen.insert({config.family, field.name, field.get(config)});
    chosen.push_back(config);
  }
  return chosen;
}

}  // namespace moe_tune::test
