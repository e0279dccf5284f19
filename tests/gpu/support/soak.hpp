// Long runs on a GPU.
#pragma once

#include <cstddef>
#include <cstdlib>

#include "runtime/jit/driver.hpp"

namespace moe_tune::test {

/// Bytes of the device that nobody has.
inline std::size_t free_bytes() {
  std::size_t free = 0;
  std::size_t total = 0;
  driver().cuMemGetInfo(&free, &total);
  return free;
}

/// 10,000 when MOE_TUNE_SOAK asks for the long one.
inline int soak_steps() { return std::getenv("MOE_TUNE_SOAK") == nullptr ? 200 : 10'000; }

}  // namespace moe_tune::test
