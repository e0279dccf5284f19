// The argument of every micro-kernel, shared with host code.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/tensor_map.cuh"

namespace moe_tune::micro {

inline constexpr int most_maps = 4;

/// Everything else that a micro-kernel depends on is a template argument of it.
struct Arguments {
  abi::TensorMap maps[most_maps];
  const unsigned* input;
  unsigned* output;
};

}  // namespace moe_tune::micro
