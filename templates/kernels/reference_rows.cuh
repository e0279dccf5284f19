// The float32 reference of forward and dX: what measured kernels are judged by. Plain fused multiply-adds in the order of
// K, no shared memory, no schedule, no code of the measured kernels.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A block takes 8 rows of one expert and 128 columns, a thread one column of all 8 rows: a weight chunk is read once for 8 rows,
// and the chunks of x are the same for all lanes of a warp.
#pragma once

#include "kernels/find_rows.cuh"
#include "ptx/numeric.cuh"

namespace moe_tune {

template <DType Type>
struct ReferenceRows {
  /// Block b computes group b / column_blocks of the experts' rows. `reference` is (M, columns of y), indexed like y.
  static MOE_DEVICE void run(const abi::RowsShape& shape, const abi::GroupedGemmArgs& args, float* reference) {
    const int columns = shape.fuse_swiglu ? shape.N / 2 : shape.N;
    const u32 column_blocks = static_cast<u32>(columns + abi::reference_threads - 1) / abi::reference_threads;
    const int column = static_cast<int>(ptx::block_index() % column_blocks * abi::reference_threads + ptx::thread_index());
    const ExpertRows group = find_group(shape, args, ptx::block_index() / column_blocks, abi::reference_rows);
    if (group.expert < 0 || column >= columns) return;

    const char* x[abi::reference_rows];
    MOE_UNROLL
    for (int i = 0; i < abi::reference_rows; ++i) x[i] = i < group.rows ? source_row(shape, args, group.row + i) : nullptr;
    float sums[abi::reference_rows] = {};
    float up[abi::reference_rows] = {};
    multiply(shape, args, sums, x, group.expert, column);
    if (shape.fuse_swiglu) multiply(shape, args, up, x, group.expert, columns + column);

    MOE_UNROLL
    for (int i = 0; i < abi::reference_rows; ++i) {
      const int row = i < group.rows ? output_row(shape, args, group.row + i) : -1;
      if (row < 0) continue;
      if (shape.fuse_mul_pre) {
        const int slot = slot_of_row(args, group.row + i);
        const float weight = slot < 0 ? 0.0f : routing_weight(args, slot);
        sums[i] *= weight;
        up[i] *= weight;
      }
      if (shape.fuse_swiglu) sums[i] = silu(sums[i]) * up[i];
      if (shape.fuse_mul_post) sums[i] *= routing_weight(args, row);
      ptx::store(reference + static_cast<i64>(row) * columns + column, sums[i]);
    }
  }

 private:
  /// Where a row in expert order is read; null for one that reads as zeros.
  static MOE_DEVICE const char* source_row(const abi::RowsShape& shape, const abi::GroupedGemmArgs& args, int row) {
    if (!shape.gather_rows) return row_address(args.x, row, args.x_row_bytes);
    const int slot = slot_of_row(args, row);
    return slot < 0 ? nullptr : row_address(args.x, slot / shape.slots_per_row, args.x_row_bytes);
  }

  /// Adds the products of all rows with row `row` of the expert's weight, or with its column where the rows run along K.
  static MOE_DEVICE void multiply(const abi::RowsShape& shape, const abi::GroupedGemmArgs& args,
                                  float (&sums)[abi::reference_rows], const char* const (&x)[abi::reference_rows], int expert,
                                  int row) {
    const char* weights = static_cast<const char*>(args.w) + expert * args.w_expert_bytes;
    if (shape.weight_rows_are_k) {
      for (int k = 0; k < shape.K; k += 8) add_column_products(sums, x, weights + row * 2, args.w_row_bytes, k);
    } else {
      const char* w = row_address(weights, row, args.w_row_bytes);
      for (int k = 0; k < shape.K; k += 8) add_products(sums, x, w, k * 2);
    }
  }

  static MOE_DEVICE float silu(float gate) {
    constexpr float log2_e = 1.4426950408889634f;
    return gate / (1.0f + ptx::exp2_approx(-gate * log2_e));
  }

  /// Adds the products of 8 elements of K, `offset` bytes into every row.
  static MOE_DEVICE void add_products(float (&sums)[abi::reference_rows], const char* const (&x)[abi::reference_rows],
                                      const char* w, int offset) {
    float weights[8];
    unpack_chunk(weights, ptx::load_constant_16(w + offset));
    add_products(sums, x, weights, offset);
  }

  /// The same with 8 rows of a column of weights.
  static MOE_DEVICE void add_column_products(float (&sums)[abi::reference_rows], const char* const (&x)[abi::reference_rows],
                                             const char* column, int row_bytes, int k) {
    float weights[8];
    MOE_UNROLL
    for (int j = 0; j < 8; ++j) {
      weights[j] = ptx::unpack<Type>(ptx::load_constant(reinterpret_cast<const u16*>(row_address(column, k + j, row_bytes))));
    }
    add_products(sums, x, weights, k * 2);
  }

  static MOE_DEVICE void add_products(float (&sums)[abi::reference_rows], const char* const (&x)[abi::reference_rows],
                                      const float (&weights)[8], int offset) {
    MOE_UNROLL
    for (int i = 0; i < abi::reference_rows; ++i) {
      float values[8] = {};
      if (x[i]) unpack_chunk(values, ptx::load_constant_16(x[i] + offset));
      MOE_UNROLL
      for (int j = 0; j < 8; ++j) sums[i] = ptx::fused_multiply_add(values[j], weights[j], sums[i]);
    }
  }

  static MOE_DEVICE void unpack_chunk(float (&values)[8], const Words4& chunk) {
    MOE_UNROLL
    for (int j = 0; j < 8; ++j) values[j] = ptx::unpack<Type>(static_cast<u16>(chunk.v[j / 2] >> (j % 2 * 16)));
  }

  static MOE_DEVICE float routing_weight(const abi::GroupedGemmArgs& args, int slot) {
    if (args.topk_weights_f32) return ptx::load_constant(static_cast<const float*>(args.topk_weights) + slot);
    return ptx::unpack<Type>(ptx::load_constant(static_cast<const u16*>(args.topk_weights) + slot));
  }
};

}  // namespace moe_tune
