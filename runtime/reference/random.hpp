// The CPU twin of templates/kernels/random.cuh: the same test data, bit for bit, without a GPU.
#pragma once

#include <cstdint>
#include <span>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// 64 bits that are a pure function of seed and position.
std::uint64_t random_bits(std::uint32_t seed, std::uint64_t position);

/// Approximately normal with standard deviation 1, within 3.47 of zero.
float random_normal(std::uint32_t seed, std::uint64_t position);

/// Element i becomes random_normal(seed, i) * scale, rounded to `dtype`.
void fill_random(std::span<std::uint16_t> target, DType dtype, float scale, std::uint32_t seed);

}  // namespace moe_tune
