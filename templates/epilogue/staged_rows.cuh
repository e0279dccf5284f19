// The epilogue of the sm90 family: accumulators, scaled and activated in float32 and rounded once, through shared memory to rows
// of y.
// archs: sm_90a
//
// A consumer stores its part of a tile by column blocks of 64. A block lies in the staging buffer as it lies in y, row by row
// with the 128-byte swizzle. stmatrix brings it there, transposed where weights are on the M side of the MMA, without bank
// conflicts. From there
// - rows in expert order go by TMA, clipped behind the expert's last row by the map (abi/forward_sm90.cuh);
// - scattered rows go by 16-byte stores, 128 bytes of a row at a time.
// One small buffer is enough: a ping-pong consumer stores while the other multiplies, and ring stages are worth more. It also
// stores a few rows at a time and waits for them to be read: a whole block at once holds up the loads of the other's operands.
#pragma once

#include "abi/forward_sm90.cuh"
#include "epilogue/row_table.cuh"
#include "mainloop/sm90_multiply.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/stmatrix.cuh"
#include "ptx/tma.cuh"

namespace moe_tune {

template <class Problem, class Config>
class StagedRows {
  using Accumulators = Sm90Accumulators<Config>;
  using Table = RowTable<Problem, Config>;
  static constexpr int y_columns = Problem::fuse_swiglu ? Problem::N / 2 : Problem::N;
  static constexpr int blocks = Config::store_columns / 64;
  static constexpr int box_rows = Config::store_rows % 32 == 0 ? 32 : 16;
  static constexpr bool turns = Config::ping_pong;

 public:
  /// Shared memory of one staging buffer; ping-pong consumers share one, cooperative ones have one each.
  static constexpr u32 staging_bytes = Config::store_rows * sm90_row_bytes;

  /// `turn_barriers`: two mbarriers of count 1 at which the consumers of a ping-pong block wait for the staging buffer.
  MOE_DEVICE StagedRows(const abi::ForwardSm90Args& args, u32 staging, u32 tables, u32 turn_barriers)
      : args_(args), staging_(staging), tables_(tables), turn_barriers_(turn_barriers) {}

  /// Rounds and stores what the tile has rows of. `turn` counts the consumer's tiles from 0.
  MOE_DEVICE void store(Accumulators& acc, const Tile& tile, u32 turn) const {
    // Consumer 0 begins: the phase before the first counts as over.
    if constexpr (turns) ptx::mbarrier_wait(turn_barriers_ + consumer() * 8, turn % 2 ^ (1 - consumer()));
    const Table table(tables_, consumer(), turn);
    if constexpr (Table::needed) table.wait();
    if (tile.rows > 0) store_rows(acc, tile, table);
    if constexpr (Table::needed) table.release();
    if constexpr (turns && Problem::permute_y) barrier();  // everybody has read the staging buffer
    if (turns && leads()) ptx::mbarrier_arrive(turn_barriers_ + (1 - consumer()) * 8);
  }

  /// After the last tile.
  MOE_DEVICE void finish() const {
    if (leads()) ptx::bulk_wait<0>();
  }

 private:
  // Not kept: accumulators leave few registers.
  static MOE_DEVICE u32 consumer() { return ptx::thread_index() / 128; }
  /// Of the tile's rows, the first that this consumer stores.
  static MOE_DEVICE int first_row() {
    return Config::swapped || Config::ping_pong ? 0 : static_cast<int>(consumer()) * Config::store_rows;
  }
  static MOE_DEVICE int warp() { return static_cast<int>(ptx::thread_index() / 32 % 4); }
  static MOE_DEVICE int lane() { return static_cast<int>(ptx::lane_index()); }
  static MOE_DEVICE bool leads() { return ptx::thread_index() % 128 == 0; }

  /// Among the threads of the warpgroup. Constant ids: an unknown one would reserve all 16.
  MOE_DEVICE void barrier() const {
    if (Config::consumers == 1 || consumer() == 0) {
      ptx::named_barrier<consumer_barriers, 128>();
    } else {
      ptx::named_barrier<consumer_barriers + 1, 128>();
    }
  }

  MOE_DEVICE void store_rows(Accumulators& acc, const Tile& tile, const Table& table) const {
    if constexpr (Problem::fuse_mul_pre) scale(acc, tile, table);
    if constexpr (Problem::fuse_swiglu) {
      const int column = tile.n / 2;
      if constexpr (Problem::keep_pre_activation) {
        store_blocks<0, blocks / 2>(acc, tile, table, args_.gate, column);
        store_blocks<blocks / 2, blocks / 2>(acc, tile, table, args_.up, column);
      }
      activate(acc, tile);
      if constexpr (Problem::fuse_mul_post) scale(acc, tile, table);
      store_blocks<0, blocks / 2>(acc, tile, table, args_.y, column);
    } else {
      if constexpr (Problem::fuse_mul_post) scale(acc, tile, table);
      store_blocks<0, blocks>(acc, tile, table, args_.y, tile.n);
    }
  }

  // Element i of a lane's d belongs to row (with weights on the M side: column) g + 8 * (i / 2 % 2) of its warp's 16, and to the
  // other side's 8 * (i / 4) + 2 * t + i % 2; g = lane / 4, t = lane % 4. 16 rows or, on the M side, 64 are left out together.
  static MOE_DEVICE void scale(Accumulators& acc, const Tile& tile, const Table& table) {
    if constexpr (Config::swapped) {
      MOE_UNROLL
      for (int j = 0; j < Config::mma_n / 8; j += 2) {
        if (j * 8 >= tile.rows) break;
        const int row = first_row() + j * 8 + lane() % 4 * 2;
        const float scales[4] = {table.scale(row), table.scale(row + 1), table.scale(row + 8), table.scale(row + 9)};
        MOE_UNROLL
        for (auto& block : acc.v) {
          MOE_UNROLL
          for (int i = 0; i < 8; ++i) block[j * 4 + i] *= scales[i / 4 * 2 + i % 2];
        }
      }
    } else {
      MOE_UNROLL
      for (int m = 0; m < Config::m_blocks; ++m) {
        if (m * 64 >= tile.rows) break;
        const int row = first_row() + m * 64 + warp() * 16 + lane() / 4;
        const float scales[2] = {table.scale(row), table.scale(row + 8)};
        MOE_UNROLL
        for (int i = 0; i < Config::mma_n / 2; ++i) acc.v[m][i] *= scales[i / 2 % 2];
      }
    }
  }

  static MOE_DEVICE float swiglu(float gate, float up) {
    constexpr float log2_e = 1.4426950408889634f;
    return gate * ptx::reciprocal_approx(1.0f + ptx::exp2_approx(-log2_e * gate)) * up;
  }

  /// Gate and up meet in one thread: silu(gate) * up takes the place of gate.
  static MOE_DEVICE void activate(Accumulators& acc, const Tile& tile) {
    if constexpr (Config::swapped) {
      constexpr int half = Config::m_blocks / 2;
      MOE_UNROLL
      for (int j = 0; j < Config::mma_n / 8; j += 2) {
        if (j * 8 >= tile.rows) break;
        MOE_UNROLL
        for (int m = 0; m < half; ++m) {
          MOE_UNROLL
          for (int i = j * 4; i < j * 4 + 8; ++i) acc.v[m][i] = swiglu(acc.v[m][i], acc.v[half + m][i]);
        }
      }
    } else {
      constexpr int half = Config::mma_n / 4;
      MOE_UNROLL
      for (int m = 0; m < Config::m_blocks; ++m) {
        if (m * 64 >= tile.rows) break;
        MOE_UNROLL
        for (int i = 0; i < half; ++i) acc.v[m][i] = swiglu(acc.v[m][i], acc.v[m][half + i]);
      }
    }
  }

  /// `Count` column blocks of the accumulators from `First` on, to the columns from `column` on.
  template <int First, int Count>
  MOE_DEVICE void store_blocks(const Accumulators& acc, const Tile& tile, const Table& table, const abi::TensorMap& map,
                               int column) const {
    MOE_UNROLL
    for (int block = First; block < First + Count; ++block) {
      if (leads()) ptx::bulk_wait_read<0>();
      barrier();  // the block before has been read
      stage(acc, block, tile);
      if constexpr (!Problem::permute_y) ptx::fence_async_shared();
      barrier();
      const int first = column + (block - First) * 64;
      if constexpr (Problem::permute_y) {
        scatter(tile, table, first);
      } else if (leads() && first < y_columns) {
        store_by_tma(tile, map, first);
      }
    }
  }

  MOE_DEVICE void stage(const Accumulators& acc, int block, const Tile& tile) const {
    const u32 row_of_matrix = static_cast<u32>(lane()) % 8;
    const u32 high_half = static_cast<u32>(lane()) / 8 % 2;  // of the warp's 16
    const u32 next_matrix = static_cast<u32>(lane()) / 16;   // along the other side
    if constexpr (Config::swapped) {
      const u32 chunk = static_cast<u32>(warp()) * 2 + high_half;
      MOE_UNROLL
      for (int j = 0; j < Config::mma_n / 8; j += 2) {
        if (j * 8 >= tile.rows) break;
        const u32 row = (static_cast<u32>(j) + next_matrix) * 8 + row_of_matrix;
        ptx::stmatrix_x4_transposed(pack(acc.v[block], j * 4).v, chunk_address(row, chunk));
      }
    } else {
      MOE_UNROLL
      for (int m = 0; m < Config::m_blocks; ++m) {
        if (m * 64 >= tile.rows) break;
        const u32 row = static_cast<u32>(m * 64 + warp() * 16) + high_half * 8 + row_of_matrix;
        MOE_UNROLL
        for (int j = 0; j < 8; j += 2) {
          const u32 chunk = static_cast<u32>(j) + next_matrix;
          ptx::stmatrix_x4(pack(acc.v[m], (block * 8 + j) * 4).v, chunk_address(row, chunk));
        }
      }
    }
  }

  /// Eight in a row.
  template <int Count>
  static MOE_DEVICE Words4 pack(const float (&d)[Count], int first) {
    Words4 words;
    MOE_UNROLL
    for (int i = 0; i < 4; ++i) words.v[i] = ptx::pack<Problem::type>(d[first + i * 2], d[first + i * 2 + 1]);
    return words;
  }

  MOE_DEVICE u32 chunk_address(u32 row, u32 chunk) const { return staging_ + row * sm90_row_bytes + ((chunk ^ row % 8) << 4); }

  /// By one thread.
  MOE_DEVICE void store_by_tma(const Tile& tile, const abi::TensorMap& map, int column) const {
    for (int row = 0; row < tile.rows; row += box_rows) {
      ptx::tma_store_3d(&map, staging_ + static_cast<u32>(row) * sm90_row_bytes, column, Config::store_rows - tile.rows + row,
                        tile.row + tile.rows);
      ptx::bulk_commit();
      if constexpr (turns) ptx::bulk_wait_read<0>();
    }
  }

  MOE_DEVICE void scatter(const Tile& tile, const Table& table, int column) const {
    const u32 chunk = static_cast<u32>(lane()) % 8;
    const int first = column + static_cast<int>(chunk) * 8;
    if (Problem::N % Config::block_n != 0 && first >= y_columns) return;
    // Several rows at a time, so that their loads wait together.
    constexpr int rows_at_once = 2;
    MOE_NO_UNROLL
    for (int start = warp() * 4 + lane() / 8; start < tile.rows; start += rows_at_once * 16) {
      int slots[rows_at_once];
      Words4 words[rows_at_once];
      MOE_UNROLL
      for (int i = 0; i < rows_at_once; ++i) {
        const int row = start + i * 16;
        slots[i] = -1;
        if (row >= tile.rows) continue;
        slots[i] = table.slot(first_row() + row);
        words[i] = ptx::load_shared_16(chunk_address(static_cast<u32>(row), chunk));
      }
      MOE_UNROLL
      for (int i = 0; i < rows_at_once; ++i) {
        if (slots[i] < 0) continue;
        char* y = ptx::advance(static_cast<char*>(args_.gemm.y), slots[i], args_.gemm.y_row_bytes);
        ptx::store(y + first * 2, words[i]);
      }
    }
  }

  const abi::ForwardSm90Args& args_;
  u32 staging_;
  u32 tables_;
  u32 turn_barriers_;
};

}  // namespace moe_tune
