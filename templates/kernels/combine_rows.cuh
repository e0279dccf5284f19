// Sums the top_k rows of every token, each times its routing weight: the end of a block's forward, and of its first GEMM's dX.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp makes 256 columns of a token at a time, 8 of them in each lane, with up to 8 choices on their way. The sum of an element
// has the order of the choices, whatever the grid. Which rows a token has is the same for all lanes of a warp.
#pragma once

#include "kernels/row_pieces.cuh"
#include "kernels/row_values.cuh"
#include "ptx/global.cuh"
#include "schedule/slots.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

template <DType Type>
struct CombineRows {
  static MOE_DEVICE void run(const abi::CombineRowsArgs& args) {
    const int tokens = count_tokens(args.token_count, args.tokens, args.gemm.status);
    for_each_piece<abi::combine_columns>(tokens, args.columns, [&](int token, int column) {
      if (column < args.columns) combine(args, token, column);
    });
  }

 private:
  static constexpr int in_flight = 8;

  static MOE_DEVICE void combine(const abi::CombineRowsArgs& args, int token, int column) {
    const char* const columns = static_cast<const char*>(args.gemm.x) + static_cast<i64>(column) * 2;
    const int slot = token * args.top_k;
    Values8 sums = load_addend(args, token, column);
    MOE_NO_UNROLL
    for (int first = 0; first < args.top_k; first += in_flight) {
      int rows[in_flight];
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) rows[i] = first + i < args.top_k ? row_of(args, slot + first + i) : -1;
      Words4 words[in_flight] = {};
      float weights[in_flight];
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        weights[i] = 1.0f;
        if (rows[i] < 0) continue;
        words[i] = ptx::load_streaming(columns + static_cast<i64>(rows[i]) * args.gemm.x_row_bytes);
        if (args.gemm.topk_weights != nullptr) weights[i] = load_topk_weight<Type>(args.gemm, slot + first + i);
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        if (rows[i] < 0) continue;
        const Values8 values = unpack_values<Type>(words[i]);
        MOE_UNROLL
        for (int j = 0; j < 8; ++j) sums.v[j] = ptx::fused_multiply_add(weights[i], values.v[j], sums.v[j]);
      }
    }
    char* const target =
        ptx::advance(static_cast<char*>(args.gemm.y), token, args.gemm.y_row_bytes) + static_cast<i64>(column) * 2;
    ptx::store(static_cast<void*>(target), pack_values<Type>(sums));
  }

  /// The row of a slot; -1 where it has none, and for a bad one, which is reported.
  static MOE_DEVICE int row_of(const abi::CombineRowsArgs& args, int slot) {
    if (args.slot_rows == nullptr) return slot;
    const int row = ptx::load_constant(args.slot_rows + slot);
    if (row < 0 || !args.expert_order) return row < 0 ? -1 : slot;
    if (row < args.gemm.M) return row;
    ptx::set_status(args.gemm.status, abi::status_bad_gather_index);
    return -1;
  }

  /// It may stand where the sum goes.
  static MOE_DEVICE Values8 load_addend(const abi::CombineRowsArgs& args, int token, int column) {
    if (args.addend == nullptr) return {};
    const char* row = static_cast<const char*>(args.addend) + static_cast<i64>(token) * args.addend_row_bytes;
    return unpack_values<Type>(ptx::load(reinterpret_cast<const Words4*>(row + static_cast<i64>(column) * 2)));
  }
};

}  // namespace moe_tune
