// What launches have in common: limits, and the plain launch of a kernel that is compiled once per device.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "generator/support/checked.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

/// Of one call: kernels count rows in 32 bits, some past the last one: a box, a piece for every block.
inline constexpr int most_rows = INT32_MAX - (1 << 16);

/// Blocks that `work` is for when each has `per_block` of it.
inline int blocks_for(std::int64_t work, std::int64_t per_block) {
  return narrow<int>((work + per_block - 1) / per_block, "blocks of a kernel");
}

/// `args` are the kernel's parameters, of exactly its types. No blocks: nothing.
template <class... Args>
void launch_kernel(CUfunction function, int blocks, int threads, CUstream stream, Args... args) {
  if (blocks == 0) return;
  void* parameters[] = {&args...};
  driver().cuLaunchKernel(function, static_cast<unsigned>(blocks), 1, 1, static_cast<unsigned>(threads), 1, 1, 0, stream,
                          parameters, nullptr);
}

}  // namespace moe_tune
