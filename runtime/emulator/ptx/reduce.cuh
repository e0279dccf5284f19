// Twin of templates/ptx/reduce.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE u32 warp_max(u32 value) {
  for (u32 mask = 16; mask > 0; mask /= 2) {
    const u32 other = machine().shuffle(emulator::Shuffle::exclusive_or, value, mask);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace moe_tune::ptx
