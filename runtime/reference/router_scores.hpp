// What a router makes of a token's logits: scores, a selection, the weights of the chosen and their gradient. In float64,
// unrounded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_tune/model_shape.hpp"

namespace moe_tune {

/// Of every expert: softmax over all of them, or each logit's sigmoid.
std::vector<double> router_scores(RouterKind kind, std::span<const double> logits);

/// The experts with the top_k largest logits, in falling order; of equal ones the lowest id first. NaN is larger than everything.
/// A softmax that is NaN anywhere is NaN everywhere: then the first top_k experts.
std::vector<std::int32_t> select_experts(RouterKind kind, std::span<const double> logits, int top_k);

/// The weights of the chosen experts; 0 for an id that is no expert's.
std::vector<double> weights_of_selection(RouterKind kind, std::span<const double> logits, std::span<const std::int32_t> chosen);

/// Of every logit, from the gradients of the weights of the chosen experts. The selection itself carries none, nor does an id
/// that is no expert's.
std::vector<double> gradient_of_logits(RouterKind kind, std::span<const double> logits, std::span<const std::int32_t> chosen,
                                       std::span<const double> d_weights);

}  // namespace moe_tune
