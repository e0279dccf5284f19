// The float32 reference of a gradient of weights: what measured kernels are judged by. Plain fused multiply-adds in the order of
// the expert's rows, no shared memory, no schedule, no code of the measured kernels.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A block takes 8 rows of one expert's dW and 128 columns, a thread one column of all 8: of each row of X the lanes of a warp
// read neighbouring elements, and of dY the same chunk.
#pragma once

#include "kernels/find_rows.cuh"
#include "ptx/numeric.cuh"

namespace moe_tune {

template <DType Type>
struct ReferenceWeights {
  /// `reference` is (E, N, K). Rows with a bad slot add nothing. With accumulate args.w is what dW is before.
  static MOE_DEVICE void run(const abi::WeightsShape& shape, const abi::GroupedGemmArgs& args, float* reference) {
    const u32 column_blocks = static_cast<u32>(shape.K + abi::reference_threads - 1) / abi::reference_threads;
    const u32 row_groups = static_cast<u32>(shape.N) / abi::reference_rows;
    const u32 block = ptx::block_index();
    const int k = static_cast<int>(block % column_blocks * abi::reference_threads + ptx::thread_index());
    const int n = static_cast<int>(block / column_blocks % row_groups) * abi::reference_rows;
    const int expert = static_cast<int>(block / column_blocks / row_groups);
    if (k >= shape.K) return;
    float sums[abi::reference_rows] = {};
    const ExpertRows rows = rows_of_expert(args, expert);
    for (int i = 0; i < rows.rows; ++i) add_row(shape, args, sums, rows.row + i, n, k);
    MOE_UNROLL
    for (int j = 0; j < abi::reference_rows; ++j) {
      if (shape.accumulate) sums[j] += old_element(shape, args, expert, n + j, k);
      ptx::store(reference + (static_cast<i64>(expert) * shape.N + n + j) * shape.K + k, sums[j]);
    }
  }

 private:
  static MOE_DEVICE float old_element(const abi::WeightsShape& shape, const abi::GroupedGemmArgs& args, int expert, int n,
                                      int k) {
    const char* row = row_address(static_cast<const char*>(args.w) + expert * args.w_expert_bytes, n, args.w_row_bytes);
    if (shape.float32_dw) return ptx::load_constant(reinterpret_cast<const float*>(row) + k);
    return ptx::unpack<Type>(ptx::load_constant(reinterpret_cast<const u16*>(row) + k));
  }

  static MOE_DEVICE void add_row(const abi::WeightsShape& shape, const abi::GroupedGemmArgs& args,
                                 float (&sums)[abi::reference_rows], int row, int n, int k) {
    const int slot = shape.gather_x || shape.gather_y ? slot_of_row(args, row) : 0;
    if (slot < 0) return;
    const char* x = row_address(args.x, shape.gather_x ? slot / shape.slots_per_row : row, args.x_row_bytes);
    const char* y = row_address(args.y, shape.gather_y ? slot : row, args.y_row_bytes);
    const float value = ptx::unpack<Type>(ptx::load_constant(reinterpret_cast<const u16*>(x) + k));
    const Words4 chunk = ptx::load_constant_16(y + n * 2);
    MOE_UNROLL
    for (int j = 0; j < abi::reference_rows; ++j) {
      const float gradient = ptx::unpack<Type>(static_cast<u16>(chunk.v[j / 2] >> (j % 2 * 16)));
      sums[j] = ptx::fused_multiply_add(gradient, value, sums[j]);
    }
  }
};

}  // namespace moe_tune
