// Conversions and float32 arithmetic, one value after the other.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/numeric.cuh"

namespace moe_tune::micro {

MOE_DEVICE int value_index() { return static_cast<int>(ptx::block_index() * 128 + ptx::thread_index()); }
MOE_DEVICE float value(const Arguments& args, int index) {
  return ptx::load_constant(reinterpret_cast<const float*>(args.input) + index);
}
MOE_DEVICE void put(const Arguments& args, float result) {
  ptx::store(reinterpret_cast<float*>(args.output) + value_index(), result);
}

template <DType Type>
MOE_DEVICE void pack_pairs(const Arguments& args) {
  const int i = value_index();
  ptx::store(args.output + i, ptx::pack<Type>(value(args, 2 * i), value(args, 2 * i + 1)));
}

/// Every pattern of 16 bits, 128 of them by each of 512 threads.
template <DType Type>
MOE_DEVICE void unpack_all(const Arguments& args) {
  for (int pattern = value_index(); pattern < 0x10000; pattern += 512) {
    ptx::store(reinterpret_cast<float*>(args.output) + pattern, ptx::unpack<Type>(static_cast<u16>(pattern)));
  }
}

MOE_DEVICE void multiply_add(const Arguments& args) {
  const int i = value_index() * 3;
  put(args, ptx::fused_multiply_add(value(args, i), value(args, i + 1), value(args, i + 2)));
}

MOE_DEVICE void powers_of_two(const Arguments& args) { put(args, ptx::exp2_approx(value(args, value_index()))); }
MOE_DEVICE void reciprocals(const Arguments& args) { put(args, ptx::reciprocal_approx(value(args, value_index()))); }
MOE_DEVICE void bits_of_floats(const Arguments& args) {
  ptx::store(args.output + value_index(), ptx::float_bits(value(args, value_index())));
}

}  // namespace moe_tune::micro
