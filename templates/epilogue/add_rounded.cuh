// Adds sums to what stands in an output of 16 bits: in float32, rounded once.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

/// A pair of elements as ptx::pack() makes it, each with its sum added.
template <DType Type>
MOE_DEVICE u32 add_rounded(u32 pair, float low, float high) {
  return ptx::pack<Type>(ptx::unpack<Type>(static_cast<u16>(pair)) + low, ptx::unpack<Type>(static_cast<u16>(pair >> 16)) + high);
}

}  // namespace moe_tune
