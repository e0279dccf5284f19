#include "runtime/reference/random.hpp"

#include "runtime/reference/half.hpp"

namespace moe_tune {

std::uint64_t random_bits(std::uint32_t seed, std::uint64_t position) {
  std::uint64_t x = ((position + 1) * 0x9e3779b97f4a7c15ull) ^ ((static_cast<std::uint64_t>(seed) + 1) * 0xc2b2ae3d27d4eb4full);
  for (int round = 0; round < 2; ++round) x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
  return x ^ (x >> 32);
}

float random_normal(std::uint32_t seed, std::uint64_t position) {
  const std::uint64_t bits = random_bits(seed, position);
  int sum = 0;
  for (int part = 0; part < 4; ++part) sum += static_cast<int>(bits >> (16 * part) & 0xffff);
  constexpr float unit = 1.0f / 75674.0f;
  return static_cast<float>(2 * sum - 4 * 65535) * unit;
}

void fill_random(std::span<std::uint16_t> target, DType dtype, float scale, std::uint32_t seed) {
  for (std::size_t i = 0; i < target.size(); ++i) target[i] = from_float(random_normal(seed, i) * scale, dtype);
}

}  // namespace moe_tune
