#include "generator/config_space.hpp"

#include <catch2/catch.hpp>

#include <set>

#include "generator/constraints.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;

namespace {

std::size_t product_size() {
  std::size_t size = 1;
  for (const ConfigField& field : forward_fields()) size *= field.allowed.size();
  return size;
}

}  // namespace

TEST_CASE("The space and the rejected configs are the whole product, each config once") {
  const auto [problem, key] = GENERATE(table<Problem, std::string>({
      {test::qwen3_gate_up(), "h200"},
      {test::smallest_problem(), "rtx4090"},
  }));
  const DeviceDescription& device = find_device(key);
  const auto accepted = config_space(problem, device);
  const auto rejected = rejected_configs(problem, device);
  CHECK(accepted.size() + rejected.size() == product_size());

  std::set<KernelConfigForward> all(accepted.begin(), accepted.end());
  CHECK(all.size() == accepted.size());
  std::size_t without_reason = 0;
  for (const RejectedConfig& r : rejected) {
    all.insert(r.config);
    without_reason += r.reason.empty();
  }
  CHECK(all.size() == product_size());
  CHECK(without_reason == 0);
}

TEST_CASE("Every config of a space passes the constraints of its problem and device, every sample problem has some") {
  for (const DeviceDescription& device : {find_device("h200"), find_device("rtx4090")}) {
    for (const Problem& problem : test::sample_problems()) {
      const auto configs = config_space(problem, device);
      INFO(describe(problem) << " on " << device.key);
      CHECK(configs.size() > 20);
      std::size_t outside = 0;
      for (const KernelConfigForward& config : configs) outside += !in_config_space(problem, config, device);
      CHECK(outside == 0);
    }
  }
}

TEST_CASE("A smaller device has a smaller space, contained in the larger one's") {
  const Problem problem = test::qwen3_gate_up();
  const auto large = config_space(problem, find_device("h200"));
  const auto small = config_space(problem, find_device("rtx4090"));
  CHECK(small.size() < large.size());
  const std::set<KernelConfigForward> in_large(large.begin(), large.end());
  std::size_t outside = 0;
  for (const KernelConfigForward& config : small) outside += !in_large.contains(config);
  CHECK(outside == 0);
}

TEST_CASE("The order of a space is fixed: that of the fields' values") {
  const auto configs = config_space(test::qwen3_down(), find_device("h200"));
  for (std::size_t i = 1; i < configs.size(); ++i) {
    if (configs[i] <= configs[i - 1]) FAIL(to_string(configs[i]) << " follows " << to_string(configs[i - 1]));
  }
}

TEST_CASE("A config outside the space is not in it") {
  KernelConfigForward config;
  CHECK(in_config_space(test::qwen3_gate_up(), config, find_device("h200")));
  config.stages = 9;
  CHECK_FALSE(in_config_space(test::qwen3_gate_up(), config, find_device("h200")));
}
