// The kernels of a router (generator/emit_router.hpp), loaded on a device.
#pragma once

#include <cuda.h>

#include <array>
#include <string>

#include "moe_tune/router_problem.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/module.hpp"
#include "runtime/launch/router_plan.hpp"
#include "templates/abi/router.cuh"

namespace moe_tune {

/// Compiled for the device of the current context and loaded there. Thread-safe.
class RouterKernels {
 public:
  /// Compiles through the cache for `arch`, e.g. "sm_90", and loads into the current context. Throws UsageError for a problem
  /// that cannot be.
  RouterKernels(CubinCache& cache, const RouterProblem& problem, const std::string& arch, int sm_count);

  /// Enqueues what the call needs on `stream`, which belongs to that context. Throws EnvironmentError when the driver refuses a
  /// launch.
  void launch(const abi::RouterArgs& args, CUstream stream) const;

 private:
  RouterProblem problem_;
  int sm_count_;
  Module module_;
  std::array<CUfunction, router_steps.size()> functions_;  ///< by RouterStep
};

}  // namespace moe_tune
