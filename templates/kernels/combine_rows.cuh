// Sums the top_k rows of every token, each times its routing weight: the end of a block's forward, and of its first GEMM's dX.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp makes 256 columns of a token at a time, 8 of them in each lane, with up to 8 choices on their way. The sum of an element
// has the order of the choices, whatever the grid.
#pragma once

#include "abi/row_operations.cuh"
#include "kernels/row_values.cuh"
#include "ptx/global.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

template <DType Type>
struct CombineRows {
  static MOE_DEVICE void run(const abi::CombineRowsArgs& args) {
    const int pieces = (args.columns + 255) / 256;  // of a row
    const int warps = static_cast<int>(ptx::grid_size()) * (abi::row_operation_threads / 32);
    const int warp = static_cast<int>(ptx::block_index() * abi::row_operation_threads + ptx::thread_index()) / 32;
    // Piece p of token t is number t * pieces + p, which this walks through in steps of `warps` without dividing again.
    const int token_step = warps / pieces;
    const int piece_step = warps % pieces;
    int token = warp / pieces;
    int piece = warp % pieces;
    while (token < args.tokens) {
      const int column = piece * 256 + static_cast<int>(ptx::lane_index()) * 8;
      if (column < args.columns) combine(args, token, column);
      token += token_step;
      piece += piece_step;
      if (piece >= pieces) {
        piece -= pieces;
        ++token;
      }
    }
  }

 private:
  static constexpr int in_flight = 8;

  static MOE_DEVICE void combine(const abi::CombineRowsArgs& args, int token, int column) {
    const char* rows = static_cast<const char*>(args.gemm.x) + static_cast<i64>(column) * 2;
    const int slot = token * args.top_k;
    Values8 sums = {};
    MOE_NO_UNROLL
    for (int first = 0; first < args.top_k; first += in_flight) {
      Words4 words[in_flight] = {};
      float weights[in_flight];
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int choice = first + i;
        weights[i] = 1.0f;
        if (choice >= args.top_k) continue;
        words[i] = ptx::load_streaming(rows + static_cast<i64>(slot + choice) * args.gemm.x_row_bytes);
        if (args.gemm.topk_weights != nullptr) weights[i] = load_topk_weight<Type>(args.gemm, slot + choice);
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        if (first + i >= args.top_k) break;
        const Values8 values = unpack_values<Type>(words[i]);
        MOE_UNROLL
        for (int j = 0; j < 8; ++j) sums.v[j] = ptx::fused_multiply_add(weights[i], values.v[j], sums.v[j]);
      }
    }
    char* const target =
        ptx::advance(static_cast<char*>(args.gemm.y), token, args.gemm.y_row_bytes) + static_cast<i64>(column) * 2;
    ptx::store(static_cast<void*>(target), pack_values<Type>(sums));
  }
};

}  // namespace moe_tune
