// SwiGLU by itself, for blocks whose first GEMM does not end with it: gate and up of a row become one activation.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp makes 512 columns of a row at a time, with all that it reads of them on its way.
#pragma once

#include "epilogue/swiglu.cuh"
#include "kernels/row_pieces.cuh"
#include "kernels/row_values.cuh"
#include "ptx/global.cuh"
#include "schedule/row_count.cuh"

namespace moe_tune {

template <DType Type>
struct ActAndMul {
  static MOE_DEVICE void run(const abi::ActAndMulArgs& args) {
    const int count = count_rows(args.gemm, args.E);
    for_each_piece<abi::activate_columns>(count, args.columns, [&](int row, int column) { activate(args, row, column); });
  }

 private:
  static constexpr int in_flight = abi::activate_columns / 256;

  static MOE_DEVICE void activate(const abi::ActAndMulArgs& args, int row, int column) {
    const char* gates = static_cast<const char*>(args.gemm.x) + static_cast<i64>(row) * args.gemm.x_row_bytes;
    const char* ups = gates + static_cast<i64>(args.columns) * 2;
    char* const out = ptx::advance(static_cast<char*>(args.gemm.y), row, args.gemm.y_row_bytes);
    Words4 gate[in_flight] = {};
    Words4 up[in_flight] = {};
    MOE_UNROLL
    for (int i = 0; i < in_flight; ++i) {
      const int first = column + i * 256;
      if (first >= args.columns) continue;
      gate[i] = ptx::load_streaming(gates + static_cast<i64>(first) * 2);
      up[i] = ptx::load_streaming(ups + static_cast<i64>(first) * 2);
    }
    MOE_UNROLL
    for (int i = 0; i < in_flight; ++i) {
      const int first = column + i * 256;
      if (first >= args.columns) continue;
      Values8 values = unpack_values<Type>(gate[i]);
      const Values8 factors = unpack_values<Type>(up[i]);
      MOE_UNROLL
      for (int j = 0; j < 8; ++j) values.v[j] = swiglu(values.v[j], factors.v[j]);
      ptx::store(static_cast<void*>(out + static_cast<i64>(first) * 2), pack_values<Type>(values));
    }
  }
};

}  // namespace moe_tune
