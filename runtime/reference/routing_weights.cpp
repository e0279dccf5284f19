#include "runtime/reference/routing_weights.hpp"

#include <algorithm>

#include "runtime/reference/half.hpp"

namespace moe_tune {

std::vector<float> routing_weights(std::size_t slots) {
  std::vector<float> weights(slots);
  for (std::size_t i = 0; i < slots; ++i) weights[i] = 0.25f + 0.001f * static_cast<float>(i % 1009);
  return weights;
}

std::vector<std::uint16_t> routing_weights(std::size_t slots, DType dtype) {
  const std::vector<float> exact = routing_weights(slots);
  std::vector<std::uint16_t> weights(slots);
  std::transform(exact.begin(), exact.end(), weights.begin(), [dtype](float weight) { return from_float(weight, dtype); });
  return weights;
}

}  // namespace moe_tune
