#include "runtime/launch/router_gradient_kernels.hpp"

#include "runtime/jit/driver.hpp"

namespace moe_tune {

RouterGradientKernels::RouterGradientKernels(CubinCache& cache, const RouterProblem& problem, const std::string& arch)
    : problem_(problem),
      module_(cache.get_or_compile(emit_router_gradient(problem), arch, "gradient of " + describe(problem)).cubin),
      functions_() {
  for (const RouterGradientStep step : router_gradient_steps) {
    const RouterKernelShape shape = kernel_shape(problem, step);
    CUfunction& function = functions_[static_cast<std::size_t>(step)];
    function = module_.function(shape.name);
    driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shape.shared_bytes);
  }
}

void RouterGradientKernels::launch(const abi::RouterGradientArgs& args, CUstream stream) const {
  const RouterGradientPlan plan(problem_, args);
  for (const auto& [step, blocks] : plan.launches()) {
    const RouterKernelShape shape = kernel_shape(problem_, step);
    abi::RouterGradientArgs copy = args;
    void* parameters[] = {&copy};
    driver().cuLaunchKernel(functions_[static_cast<std::size_t>(step)], static_cast<unsigned>(blocks), 1, 1,
                            static_cast<unsigned>(shape.threads), 1, 1, static_cast<unsigned>(shape.shared_bytes), stream,
                            parameters, nullptr);
  }
}

}  // namespace moe_tune
