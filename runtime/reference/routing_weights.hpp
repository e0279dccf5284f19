// Test data for topk_weights, the same wherever kernels are judged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// Weights by slot as a layer has them: positive, from 0.25 to 1.26, different for slots near one another. None is near zero: the
/// outputs of its row would be subnormal in fp16, where no relative error holds.
std::vector<float> routing_weights(std::size_t slots);

/// The same, rounded to `dtype`.
std::vector<std::uint16_t> routing_weights(std::size_t slots, DType dtype);

}  // namespace moe_tune
