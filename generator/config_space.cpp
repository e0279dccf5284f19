#include "generator/config_space.hpp"

#include <functional>

#include "generator/constraints.hpp"

namespace moe_tune {

namespace {

/// Calls `visit` with every combination of the fields' values, the last field fastest.
void for_each_combination(const std::function<void(const KernelConfigForward&)>& visit) {
  const auto fields = forward_fields();
  KernelConfigForward config;
  const auto descend = [&](const auto& self, std::size_t depth) -> void {
    if (depth == fields.size()) {
      visit(config);
      return;
    }
    for (const int value : fields[depth].allowed) {
      fields[depth].set(config, value);
      self(self, depth + 1);
    }
  };
  descend(descend, 0);
}

}  // namespace

std::vector<KernelConfigForward> config_space(const Problem& problem, const DeviceDescription& device) {
  std::vector<KernelConfigForward> configs;
  for_each_combination([&](const KernelConfigForward& config) {
    if (!reject(problem, config, device)) configs.push_back(config);
  });
  return configs;
}

std::vector<RejectedConfig> rejected_configs(const Problem& problem, const DeviceDescription& device) {
  std::vector<RejectedConfig> rejected;
  for_each_combination([&](const KernelConfigForward& config) {
    if (auto reason = reject(problem, config, device)) rejected.push_back({config, std::move(*reason)});
  });
  return rejected;
}

bool in_config_space(const Problem& problem, const KernelConfigForward& config, const DeviceDescription& device) {
  return !reject(problem, config, device);
}

}  // namespace moe_tune
