// The tiles of a ragged grouped GEMM, in a fixed order that persistent blocks walk with stride gridDim.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Expert e owns rows [row_start[e], row_start[e+1]) and ceil(rows / BLOCK_M) row tiles. Tile ids run over experts, then over the
// expert's row tiles x column tiles, the inner one chosen by TileOrder:
//
//     id:   0 1 2 | 3 4 5 | 6 7 | ...        m_fastest, expert 0 with 3 row tiles and 2 column tiles, expert 1 with 1 and 2
//     n:    0 0 0 | 1 1 1 | 0 1 |
//     m:    0 1 2 | 0 1 2 | 0 0 |
//
// All row tiles of an expert but the last are full; with a Grain below BLOCK_M they are nearly equal, multiples of Grain but the
// last.
//
// Both prefix sums are made once per block in shared memory by one warp, prepare(); finding a tile is a binary search there.
#pragma once

#include "abi/grouped_gemm.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

enum class TileOrder { m_fastest, n_fastest };

/// A tile of the output: rows [row, row + rows) in expert order, columns from n on.
struct Tile {
  int expert;
  int row;
  int rows;  // 1 to BLOCK_M; 0: there is no tile
  int n;

  static MOE_DEVICE Tile none() { return {0, 0, 0, 0}; }
  static MOE_DEVICE Tile of(const Words4& w) {
    return {static_cast<int>(w.v[0]), static_cast<int>(w.v[1]), static_cast<int>(w.v[2]), static_cast<int>(w.v[3])};
  }
  MOE_DEVICE Words4 words() const {
    return {{static_cast<u32>(expert), static_cast<u32>(row), static_cast<u32>(rows), static_cast<u32>(n)}};
  }
  MOE_DEVICE bool exists() const { return rows > 0; }
};

template <int E, int N, int BLOCK_M, int BLOCK_N, TileOrder Order, int Grain = BLOCK_M>
class ExpertTiles {
  static_assert(BLOCK_M % Grain == 0);

 public:
  static constexpr int n_tiles = (N + BLOCK_N - 1) / BLOCK_N;
  /// Shared memory for both prefix sums.
  static constexpr int shared_bytes = 2 * (E + 1) * 4;

  /// Reads m_sizes. By one warp; others make an object after a barrier.
  static MOE_DEVICE void prepare(const abi::GroupedGemmArgs& args, u32 shared_address) {
    make_prefix_sums(args, shared_address, shared_address + (E + 1) * 4);
  }

  MOE_DEVICE explicit ExpertTiles(u32 shared_address) : row_start_(shared_address), tile_start_(shared_address + (E + 1) * 4) {
    count_ = static_cast<u32>(ptx::load_shared(tile_start_ + E * 4)) * n_tiles;
  }

  /// Where the rows of an expert begin and end.
  MOE_DEVICE int first_row(int expert) const { return ptx::load_shared(row_start_ + expert * 4); }
  MOE_DEVICE int end_row(int expert) const { return ptx::load_shared(row_start_ + expert * 4 + 4); }
  /// Rows of all experts.
  MOE_DEVICE int rows() const { return end_row(E - 1); }

  /// Number of tiles; ids run from 0.
  MOE_DEVICE u32 count() const { return count_; }

  /// `id` is below count().
  MOE_DEVICE Tile tile(u32 id) const {
    // The last expert whose first tile is at or below id; experts without rows share their start with the next and lose.
    int low = 0;
    int high = E;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (static_cast<u32>(ptx::load_shared(tile_start_ + middle * 4)) * n_tiles <= id) {
        low = middle;
      } else {
        high = middle;
      }
    }
    const int row_tile_start = ptx::load_shared(tile_start_ + low * 4);
    const u32 row_tiles = ptx::load_shared(tile_start_ + low * 4 + 4) - row_tile_start;
    const u32 local = id - static_cast<u32>(row_tile_start) * n_tiles;
    const u32 m = Order == TileOrder::m_fastest ? local % row_tiles : local / n_tiles;
    const u32 n = Order == TileOrder::m_fastest ? local / row_tiles : local % n_tiles;
    const int first_row = ptx::load_shared(row_start_ + low * 4);
    const int end_row = ptx::load_shared(row_start_ + low * 4 + 4);
    const int tile_rows = rows_of_tile(end_row - first_row, static_cast<int>(row_tiles));
    const int row = first_row + static_cast<int>(m) * tile_rows;
    const int left = end_row - row;
    return {low, row, left < tile_rows ? left : tile_rows, static_cast<int>(n) * BLOCK_N};
  }

 private:
  static constexpr int experts_per_lane = (E + 31) / 32;

  /// At most BLOCK_M, and more than rows / row_tiles rounded down: the last tile has a row too.
  static MOE_DEVICE int rows_of_tile(int rows, int row_tiles) {
    if constexpr (Grain == BLOCK_M) return BLOCK_M;
    const int even = (rows - 1) / row_tiles + 1;
    return (even + Grain - 1) / Grain * Grain;
  }

  static MOE_DEVICE int size_of(const abi::GroupedGemmArgs& args, int expert, bool& bad) {
    if (expert >= E) return 0;
    const i64 size = args.m_sizes_64 ? ptx::load_constant(static_cast<const i64*>(args.m_sizes) + expert)
                                     : ptx::load_constant(static_cast<const int*>(args.m_sizes) + expert);
    if (size >= 0 && size <= args.M) return static_cast<int>(size);
    bad = true;
    return size < 0 ? 0 : args.M;
  }

  /// Lane l owns the experts [l * experts_per_lane, (l + 1) * experts_per_lane).
  static MOE_DEVICE void make_prefix_sums(const abi::GroupedGemmArgs& args, u32 row_start, u32 tile_start) {
    const int lane = static_cast<int>(ptx::lane_index());
    const int first = lane * experts_per_lane;
    int sizes[experts_per_lane];
    bool bad = false;
    MOE_UNROLL
    for (int i = 0; i < experts_per_lane; ++i) sizes[i] = size_of(args, first + i, bad);

    // Rows first, saturating at M so that a wrong sum cannot carry a tile outside the tensors; then tiles of what is left.
    int rows = 0;
    MOE_UNROLL
    for (int i = 0; i < experts_per_lane; ++i) rows = saturating_add(rows, sizes[i], args.M, bad);
    int row = exclusive_scan(rows, args.M, bad);
    int tiles = 0;
    MOE_UNROLL
    for (int i = 0; i < experts_per_lane; ++i) {
      if (first + i < E) ptx::store_shared(row_start + (first + i) * 4, row);
      const int next = saturating_add(row, sizes[i], args.M, bad);
      sizes[i] = (next - row + BLOCK_M - 1) / BLOCK_M;
      tiles += sizes[i];
      row = next;
    }
    bool unused = false;
    int tile = exclusive_scan(tiles, 0x7fffffff, unused);
    MOE_UNROLL
    for (int i = 0; i < experts_per_lane; ++i) {
      if (first + i < E) ptx::store_shared(tile_start + (first + i) * 4, tile);
      tile += sizes[i];
    }
    if (lane == 31) {
      ptx::store_shared(row_start + E * 4, row);
      ptx::store_shared(tile_start + E * 4, tile);
    }
    if (bad && ptx::block_index() == 0) ptx::set_status(args.status, abi::status_bad_m_sizes);
  }

  static MOE_DEVICE int saturating_add(int a, int b, int limit, bool& bad) {
    if (b <= limit - a) return a + b;
    bad = true;
    return limit;
  }

  /// The sum of `value` over the lanes below this one, saturating at `limit`.
  static MOE_DEVICE int exclusive_scan(int value, int limit, bool& bad) {
    int inclusive = value;
    MOE_UNROLL
    for (u32 delta = 1; delta < 32; delta *= 2) {
      const int below = ptx::shuffle_up(inclusive, delta);
      if (ptx::lane_index() >= delta) inclusive = saturating_add(inclusive, below, limit, bad);
    }
    const int exclusive = ptx::shuffle_up(inclusive, 1);
    return ptx::lane_index() == 0 ? 0 : exclusive;
  }

  u32 row_start_;
  u32 tile_start_;
  u32 count_;
};

}  // namespace moe_tune
