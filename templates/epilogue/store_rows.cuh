// The forward epilogue: accumulators, optionally scaled by the routing weight, rounded once and stored straight from registers.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Each lane owns 8 consecutive columns of two rows per 16-row tile and 32-column group (mainloop/sm80_multistage.cuh), so a warp
// stores 8 rows x 64 contiguous bytes per instruction: full sectors, and a scattered row costs the same as one in place.
#pragma once

#include "mainloop/sm80_multistage.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/forward_problem.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

template <class Problem, class Config>
class StoreRows {
  static constexpr bool n_tail = Problem::N % Config::block_n != 0;

  using Multiply = Sm80Multiply<Config, Problem::type>;

 public:
  MOE_DEVICE explicit StoreRows(const abi::GroupedGemmArgs& args) : args_(args) {}

  /// Starts loading the destinations of a tile, before its products are computed: their latency hides behind the mainloop.
  MOE_DEVICE void prefetch(const Tile& tile) {
    if constexpr (Problem::permute_y) {
      slots_.load(args_, [&](int row) { return sorted_row(tile, row); });
    }
  }

  MOE_DEVICE void store(const Accumulators<Config>& acc, const Tile& tile) {
    const int column = tile.n + static_cast<int>(Multiply::warp_column() + ptx::lane_index() % 4 * 8);
    int rows[Config::m_frags][2];
    if constexpr (Problem::permute_y) slots_.resolve(args_);
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half)
        rows[m][half] = destination(tile, m * 16 + half * 8 + static_cast<int>(ptx::lane_index()) / 4);
    }
    MOE_UNROLL
    for (int m = 0; m < Config::m_frags; ++m) {
      MOE_UNROLL
      for (int half = 0; half < 2; ++half) {
        if (rows[m][half] < 0) continue;
        char* y = ptx::advance(static_cast<char*>(args_.y), rows[m][half], args_.y_row_bytes) + column * 2;
        const float scale = Problem::fuse_mul_post ? load_topk_weight<Problem::type>(args_, rows[m][half]) : 1.0f;
        MOE_UNROLL
        for (int n = 0; n < Config::n_groups; ++n) {
          if (n_tail && column + n * 32 >= Problem::N) continue;
          ptx::store(y + n * 64, round(acc.v[m][n], half, scale));
        }
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
    if constexpr (Problem::permute_y) return slots_.get(row);
    return sorted_row(tile, row);
  }

  static MOE_DEVICE Words4 round(const float (&columns)[4][4], int half, float scale) {
    Words4 words;
    MOE_UNROLL
    for (int j = 0; j < 4; ++j) {
      float low = columns[j][half * 2];
      float high = columns[j][half * 2 + 1];
      if constexpr (Problem::fuse_mul_post) {
        low *= scale;
        high *= scale;
      }
      words.v[j] = ptx::pack<Problem::type>(low, high);
    }
    return words;
  }

  const abi::GroupedGemmArgs& args_;
  WarpSlots<Config::warp_m> slots_;
};

}  // namespace moe_tune
