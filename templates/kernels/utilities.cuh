// Entry points of the utility kernels: one module with every kernel that surrounds the measured one, compiled once per device.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "kernels/compare_rows.cuh"
#include "kernels/fill_random.cuh"
#include "kernels/mma_ceiling.cuh"
#include "kernels/reference_rows.cuh"
#include "kernels/reference_weights.cuh"
#include "kernels/stream_read.cuh"

#define MOE_FOR_EACH_DTYPE(X) X(bf16) X(fp16)

#define MOE_TYPED_KERNELS(type)                                                                                      \
  MOE_KERNEL(moe_tune::abi::fill_threads, 4)                                                                         \
  moe_tune_fill_random_##type(moe_tune::u16* target, moe_tune::i64 count, float scale, moe_tune::u32 seed) {         \
    moe_tune::FillRandom<moe_tune::DType::type>::run(target, count, scale, seed);                                    \
  }                                                                                                                  \
  MOE_KERNEL(moe_tune::abi::reference_threads, 4)                                                                    \
  moe_tune_reference_rows_##type(const MOE_GRID_CONSTANT moe_tune::abi::RowsShape shape,                             \
                                 const MOE_GRID_CONSTANT moe_tune::abi::GroupedGemmArgs args, float* reference) {    \
    moe_tune::ReferenceRows<moe_tune::DType::type>::run(shape, args, reference);                                     \
  }                                                                                                                  \
  MOE_KERNEL(moe_tune::abi::reference_threads, 4)                                                                    \
  moe_tune_reference_weights_##type(const MOE_GRID_CONSTANT moe_tune::abi::WeightsShape shape,                       \
                                    const MOE_GRID_CONSTANT moe_tune::abi::GroupedGemmArgs args, float* reference) { \
    moe_tune::ReferenceWeights<moe_tune::DType::type>::run(shape, args, reference);                                  \
  }                                                                                                                  \
  MOE_KERNEL(moe_tune::abi::compare_warps * 32, 4)                                                                   \
  moe_tune_judge_weights_##type(const MOE_GRID_CONSTANT moe_tune::abi::ComparisonArgs args) {                        \
    moe_tune::CompareRows<moe_tune::DType::type>::judge_weights(args);                                               \
  }                                                                                                                  \
  MOE_KERNEL(moe_tune::abi::compare_warps * 32, 4)                                                                   \
  moe_tune_judge_defined_##type(const MOE_GRID_CONSTANT moe_tune::abi::ComparisonArgs args) {                        \
    moe_tune::CompareRows<moe_tune::DType::type>::judge_defined(args);                                               \
  }                                                                                                                  \
  MOE_KERNEL(moe_tune::abi::compare_warps * 32, 4)                                                                   \
  moe_tune_judge_undefined_##type(const MOE_GRID_CONSTANT moe_tune::abi::ComparisonArgs args) {                      \
    moe_tune::CompareRows<moe_tune::DType::type>::judge_undefined(args);                                             \
  }                                                                                                                  \
  MOE_KERNEL(moe_tune::abi::mma_threads, 1)                                                                          \
  moe_tune_mma_ceiling_##type(int iterations, float* sink) { moe_tune::MmaCeiling<moe_tune::DType::type>::run(iterations, sink); }
MOE_FOR_EACH_DTYPE(MOE_TYPED_KERNELS)
#undef MOE_TYPED_KERNELS
#undef MOE_FOR_EACH_DTYPE

MOE_KERNEL(moe_tune::abi::stream_threads, moe_tune::abi::stream_blocks_per_sm)
moe_tune_stream_read(const moe_tune::Words4* source, moe_tune::i64 chunks, moe_tune::Words4* sink) {
  moe_tune::StreamRead::run(source, chunks, sink);
}
