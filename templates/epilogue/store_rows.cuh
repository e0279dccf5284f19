// The epilogue of forward and dX: accumulators, optionally scaled by the routing weight, rounded once and stored straight from
// registers. A scattered row costs the same as one in place.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "epilogue/row_chunks.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/rows_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

template <class Problem, class Config, class Multiply>
class StoreRows {
  using Chunks = RowChunks<Config, Multiply>;
  static constexpr bool n_tail = Problem::N % Config::block_n != 0;

 public:
  MOE_DEVICE explicit StoreRows(const abi::GroupedGemmArgs& args) : args_(args) {}

  /// Starts loading the destinations of a tile, before its products are computed: their latency hides behind the mainloop.
  MOE_DEVICE void prefetch(const Tile& tile) {
    if constexpr (Problem::scatter_rows) {
      slots_.load(args_, [&](int row) { return sorted_row(tile, row); });
    }
  }

  MOE_DEVICE void store(const Accumulators<Config>& acc, const Tile& tile) {
    const int column = tile.n + Chunks::column();
    const int columns_left = n_tail ? Problem::N - column : Config::block_n;
    int rows[Config::m_frags][2];
    if constexpr (Problem::scatter_rows) slots_.resolve(args_);
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) rows[m][half] = destination(tile, Chunks::row(m, half));
    }
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const bool stored = rows[m][half] >= 0;
        if (!stored && !Chunks::exchanges) continue;
        char* y = ptx::advance(static_cast<char*>(args_.y), stored ? rows[m][half] : 0, args_.y_row_bytes) + column * 2;
        const float scale = Problem::fuse_mul_post ? load_topk_weight<Problem::type>(args_, rows[m][half]) : 1.0f;
        Chunks::store(acc.v[m], half, scale, y, stored ? columns_left : 0);
      }
    }
  }

 private:
  /// Where in expert order a row of the warp's tile stands, or -1 for none.
  static MOE_DEVICE int sorted_row(const Tile& tile, int row) {
    const int tile_row = Multiply::tile_row(row);
    return tile_row < tile.rows ? tile.row + tile_row : -1;
  }

  /// The row of y where it goes, or -1 for none.
  MOE_DEVICE int destination(const Tile& tile, int row) const {
    if constexpr (Problem::scatter_rows) return slots_.get(row);
    return sorted_row(tile, row);
  }

  const abi::GroupedGemmArgs& args_;
  WarpSlots<Config::warp_m> slots_;
};

}  // namespace moe_tune
