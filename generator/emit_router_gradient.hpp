// From a router's problem to one self-contained CUDA source of its gradient.
#pragma once

#include <array>
#include <string>

#include "generator/emit_router.hpp"
#include "moe_tune/router_problem.hpp"

namespace moe_tune {

/// The kernels of a router's gradient (templates/kernels/router_gradient.cuh), in the order of their launches.
enum class RouterGradientStep { logits, hidden, weight, sum };
inline constexpr std::array router_gradient_steps = {RouterGradientStep::logits, RouterGradientStep::hidden,
                                                     RouterGradientStep::weight, RouterGradientStep::sum};

RouterKernelShape kernel_shape(const RouterProblem& problem, RouterGradientStep step);

/// Experts of a tile of RouterGradientStep::weight.
int router_gradient_tile_experts(const RouterProblem& problem);

/// CUDA source of all of its kernels, like emit_router()'s. Throws UsageError for a problem that cannot be.
std::string emit_router_gradient(const RouterProblem& problem);

}  // namespace moe_tune
