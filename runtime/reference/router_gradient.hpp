// The kernels of a router's gradient on the CPU, as plain as they can be written: the definition that GPU code is judged by.
#pragma once

#include <span>
#include <vector>

#include "moe_tune/router_problem.hpp"
#include "templates/abi/router_gradient.cuh"

namespace moe_tune {

// `args` mean what they mean to a kernel, with host pointers; only what a kernel reads counts.

struct RouterGradientReference {
  int tokens = 0;                  ///< that are there
  std::vector<double> d_logits;    ///< (those tokens, E), unrounded
  std::vector<double> magnitudes;  ///< the same sums, of the absolute values of their terms: float32 errors are relative to these
  unsigned status = 0;
};

RouterGradientReference reference_router_gradient(const RouterProblem& problem, const abi::RouterGradientArgs& args);

// What is made of d_logits, (tokens that are there, E); in float64 and rounded to float32.

/// (tokens that are there, H).
std::vector<float> reference_d_hidden_states(const RouterProblem& problem, const abi::RouterGradientArgs& args,
                                             std::span<const double> d_logits);

/// (E, H), with what stands in args.d_weight where it is added to that.
std::vector<float> reference_d_weight(const RouterProblem& problem, const abi::RouterGradientArgs& args,
                                      std::span<const double> d_logits);

}  // namespace moe_tune
