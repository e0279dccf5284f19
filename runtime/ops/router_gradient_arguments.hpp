// The arguments of a router's gradient on their way to its kernels.
#pragma once

#include "moe_tune/router_gradient.hpp"
#include "templates/abi/router_gradient.cuh"

namespace moe_tune {

/// What the kernels of `problem` get, but for the status word. Throws UsageError naming the argument that is wrong.
abi::RouterGradientArgs convert(const RouterProblem& problem, const RouterGradientArgs& args);

}  // namespace moe_tune
