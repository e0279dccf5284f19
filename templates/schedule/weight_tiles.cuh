// The tiles of the gradients of all experts' weights, in a fixed order: every expert has as many, also one without rows.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "schedule/expert_tiles.cuh"

namespace moe_tune {

/// A tile of dW[expert]: its tile_n-th of N, tile_k-th of K; the sum of products of the rows [row, row + rows).
struct WeightTile {
  int expert;  // -1: there is no tile
  int row;
  int rows;
  int tile_n;
  int tile_k;

  static MOE_DEVICE WeightTile none() { return {-1, 0, 0, 0, 0}; }
  static MOE_DEVICE WeightTile of(const Words4& w) {
    return {static_cast<int>(w.v[0]), static_cast<int>(w.v[1]), static_cast<int>(w.v[2]), static_cast<int>(w.v[3] >> 16),
            static_cast<int>(w.v[3] & 0xffffu)};
  }
  MOE_DEVICE Words4 words() const {
    return {{static_cast<u32>(expert), static_cast<u32>(row), static_cast<u32>(rows),
             static_cast<u32>(tile_n) << 16 | static_cast<u32>(tile_k)}};
  }
  MOE_DEVICE bool exists() const { return expert >= 0; }
};

template <int E, int N, int K, int BLOCK_M, int BLOCK_N, TileOrder Order>
class WeightTiles {
  using Rows = ExpertTiles<E, 16, 16, 16, TileOrder::m_fastest>;
  static constexpr u32 n_tiles = (N + BLOCK_M - 1) / BLOCK_M;
  static constexpr u32 k_tiles = (K + BLOCK_N - 1) / BLOCK_N;
  static_assert(n_tiles < 0x10000 && k_tiles < 0x10000, "both indices share a word");

 public:
  static constexpr int shared_bytes = Rows::shared_bytes;

  /// Reads m_sizes. By one warp; others make an object after a barrier.
  static MOE_DEVICE void prepare(const abi::GroupedGemmArgs& args, u32 shared_address) { Rows::prepare(args, shared_address); }

  MOE_DEVICE explicit WeightTiles(u32 shared_address) : rows_(shared_address) {}

  /// Number of tiles; ids run from 0.
  MOE_DEVICE u32 count() const { return E * n_tiles * k_tiles; }

  /// `id` is below count().
  MOE_DEVICE WeightTile tile(u32 id) const {
    const int expert = static_cast<int>(id / (n_tiles * k_tiles));
    const u32 local = id % (n_tiles * k_tiles);
    const u32 n = Order == TileOrder::m_fastest ? local % n_tiles : local / k_tiles;
    const u32 k = Order == TileOrder::m_fastest ? local / n_tiles : local % k_tiles;
    const int row = rows_.first_row(expert);
    return {expert, row, rows_.end_row(expert) - row, static_cast<int>(n), static_cast<int>(k)};
  }

 private:
  Rows rows_;
};

}  // namespace moe_tune
