// The activation of an expert: SwiGLU, in float32.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune {

/// 1 / (1 + e^-x). Below about -87 it is less than any normal float32 and counts as 0: an exponential that overflows never makes
/// NaN.
MOE_DEVICE float sigmoid(float x) {
  constexpr float log2_e = 1.4426950408889634f;
  return ptx::reciprocal_approx(1.0f + ptx::exp2_approx(-log2_e * x));
}

/// silu(gate) * up.
MOE_DEVICE float swiglu(float gate, float up) { return gate * sigmoid(gate) * up; }

}  // namespace moe_tune
