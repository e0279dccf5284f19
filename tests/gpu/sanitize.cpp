// gpu_sanitize: a few small ragged calls of several configs, once each, for compute-sanitizer: every kernel that the library
// launches runs. Exit code 0: right results; 1: wrong ones; 77: there is no GPU.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <vector>

#include "generator/constraints.hpp"
#include "tests/gpu/support/forward_case.hpp"
#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Small tiles and large ones, few stages and many, both orders, tails in every dimension.
std::vector<KernelConfigForward> sm80_configs() {
  return {
      {.BLOCK_M = 16, .BLOCK_N = 64, .BLOCK_K = 64, .warps = 2, .warps_m = 1, .stages = 4, .ctas_per_sm = 2},
      {.BLOCK_M = 64, .BLOCK_N = 64, .BLOCK_K = 32, .warps = 4, .warps_m = 2, .stages = 4, .tile_order = TileOrder::n_fastest},
      {.BLOCK_M = 64, .BLOCK_N = 128, .BLOCK_K = 128, .warps = 8, .warps_m = 2, .stages = 3},
      {.BLOCK_M = 128, .BLOCK_N = 128, .BLOCK_K = 64, .warps = 4, .warps_m = 2, .stages = 3, .ctas_per_sm = 2},
      {.BLOCK_M = 32, .BLOCK_N = 256, .BLOCK_K = 32, .warps = 8, .warps_m = 1, .stages = 5, .tile_order = TileOrder::n_fastest},
  };
}

/// Of every family that serves the problem here.
std::vector<KernelConfigForward> configs(const Problem& problem) {
  std::vector<KernelConfigForward> result;
  for (const Family family : Gpu::get().families(problem)) {
    const std::vector<KernelConfigForward> of_family = family == Family::sm80 ? sm80_configs() : sm90_configs(problem);
    result.insert(result.end(), of_family.begin(), of_family.end());
  }
  return result;
}

std::vector<Problem> problems() {
  const Problem plain = {.E = 7, .N = 208, .K = 392, .top_k = 2};
  std::vector<Problem> result(5, plain);
  result[1].permute_x = true;
  result[1].dtype = DType::fp16;
  result[2].permute_y = result[2].fuse_mul_post = true;
  result[3].permute_x = result[3].fuse_mul_pre = true;
  result[4].permute_x = result[4].fuse_swiglu = result[4].keep_pre_activation = true;
  return result;
}

int run() {
  int failed = 0;
  int tried = 0;
  for (const Problem& problem : problems()) {
    for (const KernelConfigForward& config : configs(problem)) {
      if (const auto reason = reject(problem, config, Gpu::get().description())) {
        fmt::print("{} cannot serve {}: {}\n", to_string(config), describe(problem), *reason);
        ++failed;
        continue;
      }
      const ForwardKernel kernel = Gpu::get().load({problem, config});
      for (const CaseSpec& spec : {routed_case(problem, 45, {RoutingSpec::Kind::zipf, 1.0, 4}), partial_case(problem, 9)}) {
        ForwardCase forward(spec);
        const unsigned status = forward.run(kernel);
        const bool good = status == 0 && forward.compare().pass() && forward.guards_intact() && forward.queue() == 0;
        if (!good) fmt::print("wrong: {} {} status {}\n", spec.describe(), to_string(config), status);
        failed += !good;
        ++tried;
      }
    }
  }
  const DeviceBuffer buffer(1 << 20);
  Gpu::get().utilities().fill_random(buffer.address(), 1 << 19, DType::bf16, 1.0f, 1, nullptr);
  Gpu::get().utilities().stream_read(buffer.address(), 1 << 20, nullptr);
  Gpu::get().utilities().mma_ceiling(DType::bf16, 2, nullptr);
  fmt::print("{} calls, {} failed\n", tried, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    if (device_count() == 0) {
      fmt::print("no GPU: not tried\n");
      return 77;
    }
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
