// The router of an MoE block as a kernel sees it: everything that is fixed at compile time.
#pragma once

#include <compare>
#include <string>

#include "moe_tune/export.hpp"
#include "moe_tune/model_shape.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// What a router is compiled for.
struct RouterProblem {
  RouterKind kind = RouterKind::softmax_norm_topk;
  DType dtype = DType::bf16;  ///< of hidden states, weight, logits and routing weights
  int E = 0;                  ///< experts of the model, 1 to 512
  int H = 0;                  ///< columns of the hidden states; a multiple of 8
  int top_k = 1;              ///< 1 to 16, at most E
  int first_expert = 0;       ///< the experts [first_expert, first_expert + local_experts) get rows
  int local_experts = 0;      ///< 0: all from first_expert on

  auto operator<=>(const RouterProblem&) const = default;
};

/// Throws UsageError naming the field, its value and what is allowed.
MOE_TUNE_API void validate(const RouterProblem& problem);

/// L: the experts that get rows, where the problem is valid.
constexpr int local_experts(const RouterProblem& problem) {
  return problem.local_experts == 0 ? problem.E - problem.first_expert : problem.local_experts;
}

/// One line for people, e.g. "router softmax_norm_topk bf16 E=128 H=2048 top_k=8", with "experts 32 to 63" where not all are
/// local.
MOE_TUNE_API std::string describe(const RouterProblem& problem);

}  // namespace moe_tune
