#include "runtime/emulator/router_kernel.hpp"

#include "generator/emit_router.hpp"
#include "runtime/emulator/launch.hpp"
#include "runtime/launch/router_plan.hpp"

namespace moe_tune::emulator {

RouterKernel::RouterKernel(const RouterProblem& problem) : RouterKernel(problem, emit_router(problem)) {}

RouterKernel::RouterKernel(const RouterProblem& problem, const std::string& source) : problem_(problem), kernel_(source) {}

void RouterKernel::launch(GlobalMemory& memory, const abi::RouterArgs& args, std::uint64_t seed, int sms) const {
  const RouterPlan plan(problem_, args.tokens, sms);
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
