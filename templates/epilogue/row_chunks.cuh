// How the sm80 family's accumulators become rows: rounded once and stored straight from registers, 16 bytes at a time; or as
// float32, a pair of columns at a time, so that neighbouring lanes fill sectors.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Each lane owns 8 consecutive columns of two rows per 16-row tile and 32-column group (mainloop/sm80_multistage.cuh), so a warp
// stores 8 rows x 64 contiguous bytes per instruction: full sectors.
#pragma once

#include "epilogue/add_rounded.cuh"
#include "mainloop/sm80_multistage.cuh"
#include "ptx/global.cuh"
#include "ptx/numeric.cuh"

namespace moe_tune {

/// `Multiply`: the Sm80Multiply that made the accumulators.
template <class Config, class Multiply>
struct RowChunks {
  /// Lanes give columns to each other: also those that have nothing to store call store().
  static constexpr bool exchanges = Multiply::columns_in_order;

  /// Of the warp's rows, this lane's in `half` 0 or 1 of 16-row tile m.
  static MOE_DEVICE int row(int m, int half) { return m * 16 + half * 8 + static_cast<int>(ptx::lane_index()) / 4; }
  /// Of the tile's columns, the first of this lane's 8 in the first group.
  static MOE_DEVICE int column() { return static_cast<int>(Multiply::warp_column() + ptx::lane_index() % 4 * 8); }

  /// The first of those that it owns where columns are in order and none are exchanged: pairs, 8 columns apart.
  static MOE_DEVICE int pair_column() { return static_cast<int>(Multiply::warp_column() + ptx::lane_index() % 4 * 2); }

  /// This lane's chunks of a row of all groups, those that begin before `columns_left`, from column() on. That lies at `first`.
  static MOE_DEVICE void store(const float (&groups)[Config::n_groups][4][4], int half, float scale, char* first,
                               int columns_left) {
    MOE_UNROLL
    for (int n = 0; n < Config::n_groups; ++n) {
      Words4 words = round(groups[n], half, scale);
      if constexpr (exchanges) words = exchange(words);
      if (n * 32 < columns_left) ptx::store(first + n * 64, words);
    }
  }

  /// The same, added to what stands there. Columns are in order.
  static MOE_DEVICE void add(const float (&groups)[Config::n_groups][4][4], int half, char* first, int columns_left) {
    static_assert(exchanges);
    Words4 old[Config::n_groups] = {};
    MOE_UNROLL
    for (int n = 0; n < Config::n_groups; ++n) {
      if (n * 32 < columns_left) old[n] = ptx::load(reinterpret_cast<const Words4*>(first + n * 64));
    }
    MOE_UNROLL
    for (int n = 0; n < Config::n_groups; ++n) {
      Words4 words = exchange(old[n]);
      MOE_UNROLL
      for (int j = 0; j < 4; ++j) {
        words.v[j] = add_rounded<Multiply::type>(words.v[j], groups[n][j][half * 2], groups[n][j][half * 2 + 1]);
      }
      words = exchange(words);
      if (n * 32 < columns_left) ptx::store(first + n * 64, words);
    }
  }

  /// This lane's pairs of a row of float32, from pair_column() on; with Add they are added to what stands there. Columns are in
  /// order.
  template <bool Add>
  static MOE_DEVICE void store_float32(const float (&groups)[Config::n_groups][4][4], int half, char* first, int columns_left) {
    static_assert(exchanges);
    Pair* const pairs = reinterpret_cast<Pair*>(first);
    Pair old[Config::n_groups * 4] = {};
    if constexpr (Add) {
      MOE_UNROLL
      for (int i = 0; i < Config::n_groups * 4; ++i) {
        if (i * 8 < columns_left) old[i] = ptx::load(pairs + i * 4);
      }
    }
    MOE_UNROLL
    for (int i = 0; i < Config::n_groups * 4; ++i) {
      const float* sums = groups[i / 4][i % 4] + half * 2;
      const Pair result = Add ? Pair{old[i].low + sums[0], old[i].high + sums[1]} : Pair{sums[0], sums[1]};
      if (i * 8 < columns_left) ptx::store(pairs + i * 4, result);
    }
  }

 private:
  struct alignas(8) Pair {
    float low;
    float high;
  };

  static MOE_DEVICE Words4 round(const float (&columns)[4][4], int half, float scale) {
    Words4 words;
    MOE_UNROLL
    for (int j = 0; j < 4; ++j) {
      words.v[j] = ptx::pack<Multiply::type>(columns[j][half * 2] * scale, columns[j][half * 2 + 1] * scale);
    }
    return words;
  }

  /// Four neighbouring lanes each have two columns of four blocks of 8; afterwards each has all of its block. And back.
  static MOE_DEVICE Words4 exchange(const Words4& mine) {
    const u32 lane = ptx::lane_index();
    Words4 result = {};
    MOE_UNROLL
    for (u32 distance = 0; distance < 4; ++distance) {
      const u32 other = lane % 4 ^ distance;
      u32 given = 0;
      MOE_UNROLL
      for (u32 block = 0; block < 4; ++block) given = block == other ? mine.v[block] : given;
      const u32 taken = static_cast<u32>(ptx::shuffle(static_cast<int>(given), lane ^ distance));
      MOE_UNROLL
      for (u32 from = 0; from < 4; ++from) result.v[from] = from == other ? taken : result.v[from];
    }
    return result;
  }
};

}  // namespace moe_tune
