// mma.sync on registers that the host fills.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/mma.cuh"

namespace moe_tune::micro {

/// The input holds per lane four words of D, then, for each of Steps products on it, per lane four words of A and two of B.
template <DType Type, int Steps>
MOE_DEVICE void multiply(const Arguments& args) {
  const int lane = static_cast<int>(ptx::lane_index());
  const float* const start = reinterpret_cast<const float*>(args.input);
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = ptx::load_constant(start + lane * 4 + i);
  for (int step = 0; step < Steps; ++step) {
    const u32* const operands = args.input + 128 + step * 192;
    u32 a[4];
    for (int i = 0; i < 4; ++i) a[i] = ptx::load_constant(operands + lane * 4 + i);
    ptx::mma_m16n8k16<Type>(d, a, ptx::load_constant(operands + 128 + lane * 2),
                            ptx::load_constant(operands + 128 + lane * 2 + 1));
  }
  for (int i = 0; i < 4; ++i) ptx::store(reinterpret_cast<float*>(args.output) + lane * 4 + i, d[i]);
}

}  // namespace moe_tune::micro
