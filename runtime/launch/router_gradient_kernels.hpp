// The kernels of a router's gradient (generator/emit_router_gradient.hpp), loaded on a device.
#pragma once

#include <cuda.h>

#include <array>
#include <string>

#include "moe_tune/router_problem.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/module.hpp"
#include "runtime/launch/router_gradient_plan.hpp"

namespace moe_tune {

/// Compiled for the device of the current context and loaded there. Thread-safe.
class RouterGradientKernels {
 public:
  /// Compiles through the cache for `arch`, e.g. "sm_90", and loads into the current context. Throws UsageError for a problem
  /// that cannot be.
  RouterGradientKernels(CubinCache& cache, const RouterProblem& problem, const std::string& arch);

  /// Enqueues what the call needs on `stream`, which belongs to that context. Throws EnvironmentError when the driver refuses a
  /// launch.
  void launch(const abi::RouterGradientArgs& args, CUstream stream) const;

 private:
  RouterProblem problem_;
  Module module_;
  std::array<CUfunction, router_gradient_steps.size()> functions_;  ///< by RouterGradientStep
};

}  // namespace moe_tune
