#include "runtime/emulator/router_gradient_kernel.hpp"

#include "runtime/emulator/launch.hpp"
#include "runtime/launch/router_gradient_plan.hpp"

namespace moe_tune::emulator {

RouterGradientKernel::RouterGradientKernel(const RouterProblem& problem)
    : RouterGradientKernel(problem, emit_router_gradient(problem)) {}

RouterGradientKernel::RouterGradientKernel(const RouterProblem& problem, const std::string& source)
    : problem_(problem), kernel_(source) {}

void RouterGradientKernel::launch(GlobalMemory& memory, const abi::RouterGradientArgs& args, std::uint64_t seed) const {
  const RouterGradientPlan plan(problem_, args);
  for (const auto& [step, blocks] : plan.launches()) {
    const RouterKernelShape shape = kernel_shape(problem_, step);
    const Launch launch{.blocks = static_cast<unsigned>(blocks),
                        .threads = static_cast<unsigned>(shape.threads),
                        .shared_bytes = static_cast<unsigned>(shape.shared_bytes),
                        .seed = seed};
    run(memory, launch, kernel_, shape.name, args);
  }
}

}  // namespace moe_tune::emulator
