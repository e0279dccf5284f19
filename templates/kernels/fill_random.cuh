// Fills a tensor with random values of its dtype, approximately normal: test data for verification and measurement.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A thread makes 8 consecutive values and stores them as 16 bytes; the grid strides over the tensor.
#pragma once

#include "abi/utilities.cuh"
#include "kernels/random.cuh"
#include "ptx/global.cuh"
#include "ptx/numeric.cuh"

namespace moe_tune {

template <DType Type>
struct FillRandom {
  static_assert(abi::fill_values == 8, "16 bytes");

  /// `target` is 16-byte aligned.
  static MOE_DEVICE void run(u16* target, i64 count, float scale, u32 seed) {
    const i64 stride = static_cast<i64>(ptx::grid_size()) * abi::fill_threads * 8;
    for (i64 i = (static_cast<i64>(ptx::block_index()) * abi::fill_threads + ptx::thread_index()) * 8; i < count; i += stride) {
      Words4 words;
      MOE_UNROLL
      for (int j = 0; j < 4; ++j) {
        words.v[j] = ptx::pack<Type>(random_normal(seed, i + 2 * j) * scale, random_normal(seed, i + 2 * j + 1) * scale);
      }
      if (i + 8 <= count) {
        ptx::store(target + i, words);
      } else {
        for (int j = 0; j < count - i; ++j) ptx::store(target + i + j, static_cast<u16>(words.v[j / 2] >> (j % 2 * 16)));
      }
    }
  }
};

}  // namespace moe_tune
