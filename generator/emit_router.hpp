// From a router's problem to one self-contained CUDA source.
#pragma once

#include <array>
#include <string>

#include "moe_tune/router_problem.hpp"

namespace moe_tune {

/// The kernels of a router (templates/kernels/router.cuh says when which is launched).
enum class RouterStep { logits, few_logits, select_and_sort, select, sort };
inline constexpr std::array router_steps = {RouterStep::logits, RouterStep::few_logits, RouterStep::select_and_sort,
                                            RouterStep::select, RouterStep::sort};

/// How one of them is launched.
struct RouterKernelShape {
  const char* name;  ///< of the entry point
  int threads;
  int shared_bytes;  ///< dynamic
};

RouterKernelShape kernel_shape(const RouterProblem& problem, RouterStep step);

/// Experts of a tile of logits, of RouterStep::logits.
int router_tile_experts(const RouterProblem& problem);

/// The problem as a type of the templates, RouterProblem<...> (templates/schedule/router_problem.cuh).
std::string router_problem_type(const RouterProblem& problem);

/// CUDA source of all of a router's kernels: the template files they need, inlined, and one instantiation. It includes nothing,
/// compiles with NVRTC and nvcc as it is for sm_80 and later, and is the same bytes for the same problem. Throws UsageError for a
/// problem that cannot be.
std::string emit_router(const RouterProblem& problem);

}  // namespace moe_tune
