// The second output of a problem that keeps its pre-activation, as the y of a call of its own: whatever computes or judges y does
// the same for it.
#pragma once

#include "moe_tune/problem.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// The problem whose y is the products that `problem` activates.
inline Problem pre_activation_problem(Problem problem) {
  problem.fuse_swiglu = problem.keep_pre_activation = false;
  return problem;
}

/// The call of that problem: `args` with pre_activation as y.
inline abi::GroupedGemmArgs pre_activation_args(abi::GroupedGemmArgs args) {
  args.y = args.pre_activation;
  args.y_row_bytes = args.pre_activation_row_bytes;
  return args;
}

}  // namespace moe_tune
