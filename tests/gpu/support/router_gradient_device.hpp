// Gradients of routers on the GPU, for the cases of tests/support/router_gradient_cases.hpp.
#pragma once

#include <map>
#include <memory>

#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/router_gradient_kernels.hpp"
#include "tests/gpu/support/gpu.hpp"
#include "tests/gpu/support/gpu_device.hpp"
#include "tests/support/router_gradient_cases.hpp"

namespace moe_tune::test {

/// Keeps to the default stream.
class GpuRouterGradientDevice : public GpuDevice, public RouterGradientDevice {
 public:
  void launch(const RouterProblem& problem, const abi::RouterGradientArgs& args) override {
    kernels(problem).launch(args, nullptr);
    driver().cuStreamSynchronize(nullptr);
  }

  /// Loaded once for all tests.
  static const RouterGradientKernels& kernels(const RouterProblem& problem) {
    static auto& all = *new std::map<RouterProblem, std::unique_ptr<const RouterGradientKernels>>();
    auto& loaded = all[problem];
    if (!loaded) loaded = std::make_unique<const RouterGradientKernels>(cubin_cache(), problem, Gpu::get().arch());
    return *loaded;
  }
};

}  // namespace moe_tune::test
