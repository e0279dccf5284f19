// Configs of the sm90 family for tests: every role, schedule and operand order once, with few rows to fill.
#pragma once

#include <string>
#include <vector>

#include "generator/constraints.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune::test {

/// Serve problems with an even number of 128-column tiles, as far as reject() has nothing against one.
inline std::vector<std::string> sm90_config_names() {
  return {
      "sm90_16x64x64_weights_coop_w8_s4_c2_x1_static_mfast_dispatch",
      "sm90_64x128x64_weights_coop_w8_s3_c1_x1_queue_nfast_dispatch",
      "sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
      "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_dispatch",
      "sm90_64x128x128_weights_pingpong_w12_s3_c1_x2_static_nfast_dispatch",
      "sm90_128x256x64_weights_coop_w12_s4_c1_x1_queue_mfast_dispatch",
      "sm90_128x256x64_tokens_coop_w12_s3_c1_x1_queue_mfast_dispatch",
      "sm90_128x128x64_tokens_pingpong_w12_s5_c1_x2_queue_mfast_dispatch",
      "sm90_128x128x128_tokens_coop_w12_s3_c1_x2_queue_mfast_dispatch",
      "sm90_16x64x128_weights_coop_w8_s3_c2_x1_queue_mfast_inkernel",
      "sm90_96x128x64_weights_pingpong_w12_s5_c1_x1_queue_mfast_inkernel",
      "sm90_128x128x64_tokens_coop_w12_s4_c1_x1_static_mfast_inkernel",
      "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_inkernel",
      "sm90_64x128x128_weights_coop_w8_s2_c1_x2_static_nfast_inkernel",
      "sm90_48x128x64_weights_coop_w12_s4_c2_x1_static_mfast_inkernel",
      "sm90_192x256x64_weights_coop_w12_s3_c1_x1_static_mfast_inkernel",
      "sm90_192x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead",
      "sm90_128x128x64_tokens_coop_w12_s4_c1_x2_static_nfast_copyahead",
  };
}

/// Those that serve the problem.
inline std::vector<KernelConfig> sm90_configs(const Problem& problem) {
  std::vector<KernelConfig> configs;
  for (const std::string& name : sm90_config_names()) {
    const KernelConfig config = parse_config(name);
    if (!reject(problem, config)) configs.push_back(config);
  }
  return configs;
}

}  // namespace moe_tune::test
