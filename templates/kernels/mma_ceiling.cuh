// The rate that mma.sync itself allows: a loop over m16n8k16 that touches registers only, on random operands (the power that an
// MMA draws, and with it the clock, depends on its data).
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Eight warps per SM, two on each tensor core, each with the 32 independent accumulators of a 64x64 warp tile.
#pragma once

#include "abi/utilities.cuh"
#include "kernels/random.cuh"
#include "ptx/global.cuh"
#include "ptx/mma.cuh"

namespace moe_tune {

template <DType Type>
struct MmaCeiling {
  /// `sink` is never read; that it might be written keeps the products alive.
  static MOE_DEVICE void run(int iterations, float* sink) {
    u32 a[m_tiles][4];
    u32 b[n_tiles][2];
    float d[m_tiles][n_tiles][4] = {};
    u64 position = (static_cast<u64>(ptx::block_index()) * abi::mma_threads + ptx::thread_index()) * 64;
    MOE_UNROLL
    for (int m = 0; m < m_tiles; ++m) {
      MOE_UNROLL
      for (int i = 0; i < 4; ++i) a[m][i] = random_operand(position++);
    }
    MOE_UNROLL
    for (int n = 0; n < n_tiles; ++n) {
      MOE_UNROLL
      for (int i = 0; i < 2; ++i) b[n][i] = random_operand(position++);
    }
    MOE_NO_UNROLL
    for (int iteration = 0; iteration < iterations; ++iteration) {
      MOE_UNROLL
      for (int m = 0; m < m_tiles; ++m) {
        MOE_UNROLL
        for (int n = 0; n < n_tiles; ++n) ptx::mma_m16n8k16<Type>(d[m][n], a[m], b[n][0], b[n][1]);
      }
    }
    float sum = 0.0f;
    MOE_UNROLL
    for (int m = 0; m < m_tiles; ++m) {
      MOE_UNROLL
      for (int n = 0; n < n_tiles; ++n) sum += d[m][n][0] + d[m][n][1] + d[m][n][2] + d[m][n][3];
    }
    if (sum == 0.12345f) ptx::store(sink, sum);
  }

 private:
  static constexpr int m_tiles = 4;
  static constexpr int n_tiles = 8;
  static_assert(m_tiles * n_tiles == abi::mma_per_iteration);

  /// Two values of random sign and mantissa, magnitude in [1, 2).
  static MOE_DEVICE u32 random_operand(u64 position) {
    constexpr u32 random = Type == DType::bf16 ? 0x807f807fu : 0x83ff83ffu;
    constexpr u32 one = Type == DType::bf16 ? 0x3f803f80u : 0x3c003c00u;
    return (static_cast<u32>(random_bits(1, position)) & random) | one;
  }
};

}  // namespace moe_tune
