// Inputs of calls on the emulated device.
#pragma once

#include <cstdint>
#include <vector>

#include "moe_tune/problem.hpp"
#include "runtime/emulator/global_memory.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/random.hpp"

namespace moe_tune::emulator {

/// Normal values times `scale` at [first, first + count): those of the index and the seed.
inline void fill_random(std::uint16_t* target, std::int64_t first, std::int64_t count, float scale, std::uint32_t seed,
                        DType dtype) {
  for (std::int64_t i = first; i < first + count; ++i) {
    target[i] = from_float(random_normal(seed, static_cast<std::uint64_t>(i)) * scale, dtype);
  }
}

inline Allocation& upload_integers(GlobalMemory& memory, const char* name, const std::vector<std::int64_t>& values, bool as_64) {
  const std::vector<std::int32_t> narrow_values(values.begin(), values.end());
  return as_64 ? memory.upload<std::int64_t>(name, values) : memory.upload<std::int32_t>(name, narrow_values);
}

}  // namespace moe_tune::emulator
