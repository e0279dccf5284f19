#include "runtime/launch/router_kernels.hpp"

#include "runtime/jit/driver.hpp"

namespace moe_tune {

RouterKernels::RouterKernels(CubinCache& cache, const RouterProblem& problem, const std::string& arch, int sm_count)
    : problem_(problem),
      sm_count_(sm_count),
      module_(cache.get_or_compile(emit_router(problem), arch, describe(problem)).cubin),
      functions_() {
  for (const RouterStep step : router_steps) {
    const RouterKernelShape shape = kernel_shape(problem, step);
    CUfunction& function = functions_[static_cast<std::size_t>(step)];
    function = module_.function(shape.name);
    driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shape.shared_bytes);
  }
}

void RouterKernels::launch(const abi::RouterArgs& args, CUstream stream) const {
  const RouterPlan plan(problem_, args.tokens, sm_count_);
  for (const auto& [step, blocks] : plan.launches()) {
    const RouterKernelShape shape = kernel_shape(problem_, step);
    abi::RouterArgs copy = args;
    void* parameters[] = {&copy};
    driver().cuLaunchKernel(functions_[static_cast<std::size_t>(step)], static_cast<unsigned>(blocks), 1, 1,
                            static_cast<unsigned>(shape.threads), 1, 1, static_cast<unsigned>(shape.shared_bytes), stream,
                            parameters, nullptr);
  }
}

}  // namespace moe_tune
