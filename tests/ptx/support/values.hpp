// Inputs and expected words of micro-tests.
#pragma once

#include <bit>
#include <cstdint>
#include <random>
#include <vector>

namespace moe_tune::test {

using Words = std::vector<std::uint32_t>;

/// value(i) for i below `count`.
template <class Function>
Words words(std::size_t count, Function&& value) {
  Words out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::uint32_t>(value(static_cast<std::uint32_t>(i)));
  return out;
}

inline Words random_words(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  return words(count, [&](std::uint32_t) { return random(); });
}

inline std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
inline float value_of(std::uint32_t word) { return std::bit_cast<float>(word); }

}  // namespace moe_tune::test
