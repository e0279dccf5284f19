#include "generator/config_space.hpp"

#include <catch2/catch.hpp>

#include <set>

#include "generator/constraints.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;

namespace {

std::size_t product_size(Family family) {
  std::size_t size = 1;
  for (const ConfigField& field : config_fields()) size *= field.allowed(family).size();
  return size;
}

}  // namespace

TEST_CASE("The space and the rejected configs are the products of the device's families, each config once") {
  const auto [problem, key, size] = GENERATE(table<Problem, std::string, std::size_t>({
      {test::qwen3_gate_up(), "h200", product_size(Family::sm80) + product_size(Family::sm90)},
      {test::smallest_problem(), "rtx4090", product_size(Family::sm80)},
  }));
  const DeviceDescription& device = find_device(key);
  const auto accepted = config_space(problem, device);
  const auto rejected = rejected_configs(problem, device);
  CHECK(accepted.size() + rejected.size() == size);

  std::set<KernelConfig> all(accepted.begin(), accepted.end());
  CHECK(all.size() == accepted.size());
  std::size_t without_reason = 0;
  for (const RejectedConfig& r : rejected) {
    all.insert(r.config);
    without_reason += r.reason.empty();
  }
  CHECK(all.size() == size);
  CHECK(without_reason == 0);
}

TEST_CASE("Every config of a space passes the constraints of its problem and device, every sample problem has some") {
  for (const DeviceDescription& device : {find_device("h200"), find_device("rtx4090")}) {
    for (const Problem& problem : test::sample_problems()) {
      const auto configs = config_space(problem, device);
      INFO(describe(problem) << " on " << device.key);
      CHECK(configs.size() > 20);
      std::size_t outside = 0;
      for (const KernelConfig& config : configs) outside += !in_config_space(problem, config, device);
      CHECK(outside == 0);
    }
  }
}

TEST_CASE("A smaller device has a smaller space, contained in the larger one's") {
  const Problem problem = test::qwen3_gate_up();
  const auto large = config_space(problem, find_device("h200"));
  const auto small = config_space(problem, find_device("rtx4090"));
  CHECK(small.size() < large.size());
  const std::set<KernelConfig> in_large(large.begin(), large.end());
  std::size_t outside = 0;
  for (const KernelConfig& config : small) outside += !in_large.contains(config);
  CHECK(outside == 0);
}

TEST_CASE("Families are of use where they run: sm90 on compute capability 9.0 alone, sm80 everywhere") {
  const Problem problem = test::qwen3_gate_up();
  for (const DeviceDescription& device : known_devices()) {
    std::set<Family> found;
    for (const KernelConfig& config : config_space(problem, device)) found.insert(config.family);
    INFO(device.key);
    CHECK(found == (device.compute_capability() == 90 ? std::set{Family::sm80, Family::sm90} : std::set{Family::sm80}));
  }
}

TEST_CASE("What the sm80 epilogue lacks is served by sm90 alone") {
  Problem problem = test::qwen3_gate_up();
  problem.fuse_swiglu = true;
  CHECK(config_space(problem, find_device("a100")).empty());
  const auto space = config_space(problem, find_device("h200"));
  CHECK(space.size() > 20);
  for (const KernelConfig& config : space) {
    if (config.family != Family::sm90) FAIL(to_string(config));
  }
}

TEST_CASE("The order of a space is fixed: that of the fields' values") {
  const auto configs = config_space(test::qwen3_down(), find_device("h200"));
  for (std::size_t i = 1; i < configs.size(); ++i) {
    if (configs[i] <= configs[i - 1]) FAIL(to_string(configs[i]) << " follows " << to_string(configs[i - 1]));
  }
}

TEST_CASE("A config outside the space is not in it") {
  KernelConfig config;
  CHECK(in_config_space(test::qwen3_gate_up(), config, find_device("h200")));
  config.stages = 9;
  CHECK_FALSE(in_config_space(test::qwen3_gate_up(), config, find_device("h200")));
}
