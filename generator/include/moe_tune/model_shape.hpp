// The MoE layer of a model as a shape.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "moe_tune/export.hpp"

namespace moe_tune {

/// How the router turns logits into the weights of the chosen experts.
enum class RouterKind {
  softmax,            ///< softmax over all experts, then top_k (Qwen3 with norm_topk_prob = false)
  softmax_norm_topk,  ///< the same, the chosen weights divided by their sum (Qwen3)
  sigmoid,            ///< top_k of the logits, each through a sigmoid, applied before the experts (Llama4)
};

MOE_TUNE_API std::string_view to_string(RouterKind router);

/// What tuning needs to know of a model: every MoE layer of it has this shape.
struct ModelShape {
  std::string name;  ///< a preset's name, or the folder of a config.json
  int E = 0;         ///< experts
  int top_k = 0;     ///< experts per token
  int H = 0;         ///< hidden size
  int I = 0;         ///< intermediate size of an expert
  RouterKind router = RouterKind::softmax_norm_topk;
  int shared_expert_I = 0;  ///< intermediate size of the expert that sees every token; 0: the model has none

  bool operator==(const ModelShape&) const = default;
};

/// Experts [first, first + count) of a model; count 0: all from `first` on.
struct ExpertRange {
  int first = 0;
  int count = 0;

  auto operator<=>(const ExpertRange&) const = default;
};

}  // namespace moe_tune
