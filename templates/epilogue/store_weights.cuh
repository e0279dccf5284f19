// The epilogue of dW of the sm80 family: accumulators, rounded once, to a tile of dW.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "epilogue/row_chunks.cuh"
#include "schedule/weight_tiles.cuh"

namespace moe_tune {

template <class Problem, class Config, class Multiply>
struct StoreWeights {
  using Chunks = RowChunks<Config, Multiply>;

  static MOE_DEVICE void store(const abi::GroupedGemmArgs& args, const Accumulators<Config>& acc, const WeightTile& tile) {
    const int k = tile.tile_k * Config::block_n + Chunks::column();
    const int columns_left = Problem::K % Config::block_n != 0 ? Problem::K - k : Config::block_n;
    // w is what other ops read.
    char* w = static_cast<char*>(const_cast<void*>(args.w)) + tile.expert * args.w_expert_bytes + static_cast<i64>(k) * 2;
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int n = tile.tile_n * Config::block_m + Multiply::tile_row(Chunks::row(m, half));
        const bool stored = Problem::N % Config::block_m == 0 || n < Problem::N;
        Chunks::store(acc.v[m], half, 1.0f, ptx::advance(w, n, args.w_row_bytes), stored ? columns_left : 0);
      }
    }
  }
};

}  // namespace moe_tune
