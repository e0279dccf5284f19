#include "moe_tune/router_gradient.hpp"

#include <memory>

#include "runtime/jit/driver.hpp"
#include "runtime/launch/router_gradient_kernels.hpp"
#include "runtime/ops/library_state.hpp"
#include "runtime/ops/loaded_kernels.hpp"
#include "runtime/ops/router_arguments.hpp"
#include "runtime/ops/router_gradient_arguments.hpp"

namespace moe_tune {

struct RouterGradient::State {
  Library::State& library;
  RouterProblem problem;
  DeviceState& device;
  LoadedKernels<RouterGradientKernels> loaded;

  State(Library::State& shared, const RouterProblem& asked, int ordinal)
      : library(shared), problem(asked), device(shared.device(ordinal)), loaded(device) {}

  const RouterGradientKernels& kernels() {
    return loaded.get(
        [this] { return std::make_unique<const RouterGradientKernels>(cubin_cache(), problem, arch_of(device.info())); });
  }
};

RouterGradient::RouterGradient(Library& library, const RouterProblem& problem, int device) {
  validate(problem);
  state_ = std::make_unique<State>(*library.state_, problem, device);
}

RouterGradient::~RouterGradient() = default;
RouterGradient::RouterGradient(RouterGradient&&) noexcept = default;
RouterGradient& RouterGradient::operator=(RouterGradient&&) noexcept = default;

void RouterGradient::run(const RouterGradientArgs& args, CUstream stream) {
  abi::RouterGradientArgs checked = convert(state_->problem, args);
  checked.status = state_->device.status_address();
  const CurrentContext current(state_->device.context());
  state_->kernels().launch(checked, stream);
  if (state_->library.options.check_each_call) state_->device.check_status(stream, "gradient of " + describe(state_->problem));
}

std::size_t RouterGradient::workspace_bytes(std::int64_t tokens) const {
  return RouterGradientWorkspace(state_->problem, checked_tokens(state_->problem, tokens)).bytes();
}

void RouterGradient::prepare() {
  const CurrentContext current(state_->device.context());
  state_->kernels();
}

}  // namespace moe_tune
