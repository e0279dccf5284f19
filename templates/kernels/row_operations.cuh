// Entry points of the operations on rows around the grouped GEMMs of a block: one module, compiled once per device.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/row_operations.cuh"
#include "kernels/act_and_mul.cuh"
#include "kernels/combine_rows.cuh"
#include "kernels/permute_rows.cuh"
#include "kernels/spread_rows.cuh"
#include "kernels/swiglu_gradient.cuh"
#include "schedule/row_count.cuh"

MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::permute_blocks_per_sm)
moe_tune_permute_rows(const MOE_GRID_CONSTANT moe_tune::abi::PermuteRowsArgs args) {
  moe_tune::permute_rows<moe_tune::abi::row_operation_threads>(args.gemm, static_cast<char*>(args.gemm.y), args.gemm.y_row_bytes,
                                                               args.columns / 8, args.slots_per_row,
                                                               moe_tune::count_rows(args.gemm, args.E));
}

MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::spread_blocks_per_sm)
moe_tune_spread_rows(const MOE_GRID_CONSTANT moe_tune::abi::PermuteRowsArgs args) { moe_tune::SpreadRows<>::run(args); }

MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::permute_blocks_per_sm)
moe_tune_unpermute_rows(const MOE_GRID_CONSTANT moe_tune::abi::UnpermuteRowsArgs args) {
  moe_tune::unpermute_rows<moe_tune::abi::row_operation_threads>(args.gemm, args.columns / 8,
                                                                 moe_tune::count_rows(args.gemm, args.E));
}

#define MOE_FOR_EACH_DTYPE(X) X(bf16) X(fp16)

#define MOE_ROW_OPERATIONS(type)                                                                                 \
  MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::permute_blocks_per_sm)                         \
  moe_tune_permute_scaled_rows_##type(const MOE_GRID_CONSTANT moe_tune::abi::PermuteRowsArgs args) {             \
    moe_tune::permute_rows<moe_tune::abi::row_operation_threads, moe_tune::TimesWeight<moe_tune::DType::type>>(  \
        args.gemm, static_cast<char*>(args.gemm.y), args.gemm.y_row_bytes, args.columns / 8, args.slots_per_row, \
        moe_tune::count_rows(args.gemm, args.E));                                                                \
  }                                                                                                              \
  MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::spread_blocks_per_sm)                          \
  moe_tune_spread_scaled_rows_##type(const MOE_GRID_CONSTANT moe_tune::abi::PermuteRowsArgs args) {              \
    moe_tune::SpreadRows<moe_tune::TimesWeight<moe_tune::DType::type>>::run(args);                               \
  }                                                                                                              \
  MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::activate_blocks_per_sm)                        \
  moe_tune_act_and_mul_##type(const MOE_GRID_CONSTANT moe_tune::abi::ActAndMulArgs args) {                       \
    moe_tune::ActAndMul<moe_tune::DType::type>::run(args);                                                       \
  }                                                                                                              \
  MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::combine_blocks_per_sm)                         \
  moe_tune_combine_rows_##type(const MOE_GRID_CONSTANT moe_tune::abi::CombineRowsArgs args) {                    \
    moe_tune::CombineRows<moe_tune::DType::type>::run(args);                                                     \
  }                                                                                                              \
  MOE_KERNEL(moe_tune::abi::row_operation_threads, moe_tune::abi::swiglu_blocks_per_sm)                          \
  moe_tune_swiglu_gradient_##type(const MOE_GRID_CONSTANT moe_tune::abi::SwigluGradientArgs args) {              \
    moe_tune::SwigluGradient<moe_tune::DType::type>::run(args);                                                  \
  }
MOE_FOR_EACH_DTYPE(MOE_ROW_OPERATIONS)
#undef MOE_ROW_OPERATIONS
#undef MOE_FOR_EACH_DTYPE
