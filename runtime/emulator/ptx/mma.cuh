// Twin of templates/ptx/mma.cuh.
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune::ptx {

template <DType Type>
MOE_DEVICE void mma_m16n8k16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  machine().mma_m16n8k16(half_of<Type>, d, a, b0, b1);
}

}  // namespace moe_tune::ptx
