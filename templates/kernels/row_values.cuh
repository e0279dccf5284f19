// Eight numbers of a row at a time: as 16 bytes in memory, as float32 in registers.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

struct Values8 {
  float v[8];
};

template <DType Type>
MOE_DEVICE Values8 unpack_values(const Words4& words) {
  Values8 values;
  MOE_UNROLL
  for (int j = 0; j < 8; ++j) values.v[j] = ptx::unpack<Type>(static_cast<u16>(words.v[j / 2] >> (j % 2 * 16)));
  return values;
}

/// Rounds each to nearest even.
template <DType Type>
MOE_DEVICE Words4 pack_values(const Values8& values) {
  Words4 words;
  MOE_UNROLL
  for (int j = 0; j < 4; ++j) words.v[j] = ptx::pack<Type>(values.v[2 * j], values.v[2 * j + 1]);
  return words;
}

}  // namespace moe_tune
