// A router's kernels on the CPU, as plain as they can be written: the definition that GPU code is judged by.
#pragma once

#include <cstdint>
#include <vector>

#include "moe_tune/router_problem.hpp"
#include "templates/abi/router.cuh"

namespace moe_tune {

// `args` mean what they mean to a kernel, with host pointers; only what a kernel reads counts.

/// (tokens, E), in float64 and rounded to float32.
std::vector<float> reference_router_logits(const RouterProblem& problem, const abi::RouterArgs& args);

struct RouterReference {
  int tokens = 0;                              ///< that are there
  std::vector<std::int32_t> selected_experts;  ///< (those tokens, top_k)
  std::vector<double> topk_weights;            ///< (those tokens, top_k), unrounded
  std::vector<std::int32_t> m_sizes;           ///< (L)
  std::vector<std::int32_t> gather_indices;    ///< (sum of m_sizes)
  std::vector<std::int32_t> slot_rows;         ///< (M)
  unsigned status = 0;
};

/// What is made of the logits in args.router_logits.
RouterReference reference_route(const RouterProblem& problem, const abi::RouterArgs& args);

}  // namespace moe_tune
