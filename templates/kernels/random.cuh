// Random values that are a pure function of a seed and a position. runtime/reference/random.hpp computes the same on the CPU.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune {

/// 64 bits for one position: two rounds of multiply and fold, each input bit reaching every output bit.
MOE_DEVICE u64 random_bits(u32 seed, u64 position) {
  u64 x = (position + 1) * 0x9e3779b97f4a7c15ull ^ (static_cast<u64>(seed) + 1) * 0xc2b2ae3d27d4eb4full;
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
  return x ^ x >> 32;
}

/// Approximately normal with standard deviation 1: the sum of four 16-bit uniforms, within 3.47 of zero. Integers and one
/// rounded product only, so that every machine gets the same bits.
MOE_DEVICE float random_normal(u32 seed, u64 position) {
  const u64 bits = random_bits(seed, position);
  const int sum = static_cast<int>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
  constexpr float unit = 1.0f / 75674.0f;  // the standard deviation of 2 * sum is 4 * 65536 / sqrt(12)
  return static_cast<float>(2 * sum - 4 * 65535) * unit;
}

}  // namespace moe_tune
