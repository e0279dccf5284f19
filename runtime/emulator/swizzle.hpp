// Where a swizzled copy or operand really lies in shared memory.
#pragma once

#include <cstdint>

#include "runtime/launch/tensor_map.hpp"

namespace moe_tune::emulator {

/// Moves the 16-byte chunks of each span about: the chunk's number is XORed with that of its 128-byte line, as far as the span
/// has chunks (128 bytes: address bits 4-6 ^= 7-9; 64: 4-5 ^= 7-8; 32: 4 ^= 7). The bits are those of the address itself, so a
/// box that starts in the middle of a pattern continues it. Its own inverse.
constexpr std::uint32_t swizzled(std::uint32_t address, Swizzle swizzle) {
  const std::uint32_t chunks = static_cast<std::uint32_t>(span_bytes(swizzle)) / 16;
  return address ^ (((address >> 7) & (chunks - 1)) << 4);
}

}  // namespace moe_tune::emulator
