// The epilogue of dW of the sm80 family: accumulators, rounded at most once, to a tile of dW, or added to what stands there.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "epilogue/row_chunks.cuh"
#include "schedule/weight_tiles.cuh"

namespace moe_tune {

template <class Problem, class Config, class Multiply>
struct StoreWeights {
  using Chunks = RowChunks<Config, Multiply>;
  static constexpr int element = Problem::float32_dw ? 4 : 2;

  static MOE_DEVICE void store(const abi::GroupedGemmArgs& args, const Accumulators<Config>& acc, const WeightTile& tile) {
    if (Problem::accumulate && tile.rows == 0) return;  // adding zeros would change the bits of -0
    const int k = tile.tile_k * Config::block_n + (Problem::float32_dw ? Chunks::pair_column() : Chunks::column());
    const int columns_left = Problem::K % Config::block_n != 0 ? Problem::K - k : Config::block_n;
    // w is what other ops read.
    char* w = static_cast<char*>(const_cast<void*>(args.w)) + tile.expert * args.w_expert_bytes + static_cast<i64>(k) * element;
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int n = tile.tile_n * Config::block_m + Multiply::tile_row(Chunks::row(m, half));
        const int columns = Problem::N % Config::block_m == 0 || n < Problem::N ? columns_left : 0;
        char* const row = ptx::advance(w, n, args.w_row_bytes);
        if constexpr (Problem::float32_dw) {
          Chunks::template store_float32<Problem::accumulate>(acc.v[m], half, row, columns);
        } else if constexpr (Problem::accumulate) {
          Chunks::add(acc.v[m], half, row, columns);
        } else {
          Chunks::store(acc.v[m], half, 1.0f, row, columns);
        }
      }
    }
  }
};

}  // namespace moe_tune
