#include "generator/config_space.hpp"

#include <functional>

#include "generator/constraints.hpp"

namespace moe_tune {

namespace {

/// Calls `visit` with every combination of a family's field values, the last field fastest.
void for_each_combination(Family family, const std::function<void(const KernelConfig&)>& visit) {
  const auto fields = config_fields();
  KernelConfig config;
  const auto descend = [&](const auto& self, std::size_t depth) -> void {
    if (depth == fields.size()) {
      visit(config);
      return;
    }
    for (const int value : fields[depth].allowed(family)) {
      fields[depth].set(config, value);
      self(self, depth + 1);
    }
  };
  descend(descend, 0);
}

/// The families whose kernels run on the device, in their order.
std::vector<Family> families_of(const DeviceDescription& device) {
  std::vector<Family> families;
  for (std::size_t i = 0; i < family_count; ++i) {
    if (runs_on(static_cast<Family>(i), device)) families.push_back(static_cast<Family>(i));
  }
  return families;
}

}  // namespace

std::vector<KernelConfig> config_space(const Problem& problem, const DeviceDescription& device) {
  std::vector<KernelConfig> configs;
  for (const Family family : families_of(device)) {
    for_each_combination(family, [&](const KernelConfig& config) {
      if (!reject(problem, config, device)) configs.push_back(config);
    });
  }
  return configs;
}

std::vector<RejectedConfig> rejected_configs(const Problem& problem, const DeviceDescription& device) {
  std::vector<RejectedConfig> rejected;
  for (const Family family : families_of(device)) {
    for_each_combination(family, [&](const KernelConfig& config) {
      if (auto reason = reject(problem, config, device)) rejected.push_back({config, std::move(*reason)});
    });
  }
  return rejected;
}

bool in_config_space(const Problem& problem, const KernelConfig& config, const DeviceDescription& device) {
  return !reject(problem, config, device);
}

}  // namespace moe_tune
