#include "moe_tune/router.hpp"

#include <memory>

#include "runtime/jit/driver.hpp"
#include "runtime/launch/router_kernels.hpp"
#include "runtime/ops/library_state.hpp"
#include "runtime/ops/loaded_kernels.hpp"
#include "runtime/ops/router_arguments.hpp"

namespace moe_tune {

struct Router::State {
  Library::State& library;
  RouterProblem problem;
  DeviceState& device;
  LoadedKernels<RouterKernels> loaded;

  State(Library::State& shared, const RouterProblem& asked, int ordinal)
      : library(shared), problem(asked), device(shared.device(ordinal)), loaded(device) {}

  const RouterKernels& kernels() {
    return loaded.get([this] {
      return std::make_unique<const RouterKernels>(cubin_cache(), problem, arch_of(device.info()), device.info().sm_count);
    });
  }
};

Router::Router(Library& library, const RouterProblem& problem, int device) {
  validate(problem);
  state_ = std::make_unique<State>(*library.state_, problem, device);
}

Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::run(const RouterArgs& args, CUstream stream) {
  abi::RouterArgs checked = convert(state_->problem, args);
  checked.status = state_->device.status_address();
  const CurrentContext current(state_->device.context());
  state_->kernels().launch(checked, stream);
  if (state_->library.options.check_each_call) state_->device.check_status(stream, describe(state_->problem));
}

std::size_t Router::workspace_bytes(std::int64_t tokens) const {
  return router_workspace_bytes(state_->problem, checked_tokens(state_->problem, tokens));
}

void Router::prepare() {
  const CurrentContext current(state_->device.context());
  state_->kernels();
}

}  // namespace moe_tune
