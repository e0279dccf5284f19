// Routers on the GPU, for the cases of tests/support/router_cases.hpp.
#pragma once

#include <map>
#include <memory>

#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/router_kernels.hpp"
#include "tests/gpu/support/gpu.hpp"
#include "tests/gpu/support/gpu_device.hpp"
#include "tests/support/router_cases.hpp"

namespace moe_tune::test {

/// Keeps to the default stream.
class GpuRouterDevice : public GpuDevice, public RouterDevice {
 public:
  void launch(const RouterProblem& problem, const abi::RouterArgs& args, int sm_count) override {
    // Loaded once for all tests.
    static auto& kernels = *new std::map<std::pair<RouterProblem, int>, std::unique_ptr<const RouterKernels>>();
    auto& loaded = kernels[{problem, sm_count}];
    if (!loaded) loaded = std::make_unique<const RouterKernels>(cubin_cache(), problem, Gpu::get().arch(), sm_count);
    loaded->launch(args, nullptr);
    driver().cuStreamSynchronize(nullptr);
  }
};

}  // namespace moe_tune::test
