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

  /// Rounds and stores. `turn` counts the consumer's tiles from 0.
  template <int MBlocks, int N>
  MOE_DEVICE void store(Sm90Accumulators<MBlocks, N>& acc, const Tile& tile, u32 turn) const {
    // Consumer 0 begins: the phase before the first counts as over.
    if constexpr (turns) ptx::mbarrier_wait(turn_barriers_ + consumer() * 8, turn % 2 ^ (1 - consumer()));
    const Table table(tables_, consumer(), turn);
    if constexpr (Table::needed) table.wait();
    if constexpr (Problem::fuse_mul_pre) scale(acc, table);
    if constexpr (Problem::fuse_swiglu) {
      const int column = tile.n / 2;
      if constexpr (Problem::keep_pre_activation) {
        store_blocks<0, blocks / 2>(acc, tile, table, args_.gate, column);
        store_blocks<blocks / 2, blocks / 2>(acc, tile, table, args_.up, column);
      }
      activate(acc);
      store_blocks<0, blocks / 2>(acc, tile, table, args_.y, column);
    } else {
      store_blocks<0, blocks>(acc, tile, table, args_.y, tile.n);
    }
    if constexpr (Table::needed) table.release();
    if constexpr (turns && Problem::permute_y) barrier();  // everybody has read the staging buffer
    if (turns && leads()) ptx::mbarrier_arrive(turn_barriers_ + (1 - consumer()) * 8);
  }

  /// Passes a tile on that has no rows for this consumer.
  MOE_DEVICE void store_nothing(u32 turn) const {
    if constexpr (Table::needed) {
      const Table table(tables_, consumer(), turn);
      table.wait();
      table.release();
    }
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

  /// Element i of a lane's d belongs to row (with weights on the M side: column) g + 8 * (i / 2 % 2) of its warp's 16, and to the
  /// other side's 8 * (i / 4) + 2 * t + i % 2; g = lane / 4, t = lane % 4.
  template <int MBlocks, int N>
  static MOE_DEVICE void scale(Sm90Accumulators<MBlocks, N>& acc, const Table& table) {
    if constexpr (Config::swapped) {
      MOE_UNROLL
      for (int j = 0; j < N / 8; ++j) {
        const int row = j * 8 + lane() % 4 * 2;
        const float scales[2] = {table.scale(first_row() + row), table.scale(first_row() + row + 1)};
        MOE_UNROLL
        for (int m = 0; m < MBlocks; ++m) {
          MOE_UNROLL
          for (int i = 0; i < 4; ++i) acc.v[m][j * 4 + i] *= scales[i % 2];
        }
      }
    } else {
      MOE_UNROLL
      for (int m = 0; m < MBlocks; ++m) {
        const int row = m * 64 + warp() * 16 + lane() / 4;
        const float scales[2] = {table.scale(first_row() + row), table.scale(first_row() + row + 8)};
        MOE_UNROLL
        for (int i = 0; i < N / 2; ++i) acc.v[m][i] *= scales[i / 2 % 2];
      }
    }
  }

  static MOE_DEVICE float swiglu(float gate, float up) {
    constexpr float log2_e = 1.4426950408889634f;
    return gate * ptx::reciprocal_approx(1.0f + ptx::exp2_approx(-log2_e * gate)) * up;
  }

  /// Gate and up meet in one thread: silu(gate) * up takes the place of gate.
  template <int MBlocks, int N>
  static MOE_DEVICE void activate(Sm90Accumulators<MBlocks, N>& acc) {
    if constexpr (Config::swapped) {
      MOE_UNROLL
      for (int m = 0; m < MBlocks / 2; ++m) {
        MOE_UNROLL
        for (int i = 0; i < N / 2; ++i) acc.v[m][i] = swiglu(acc.v[m][i], acc.v[MBlocks / 2 + m][i]);
      }
    } else {
      MOE_UNROLL
      for (int m = 0; m < MBlocks; ++m) {
        MOE_UNROLL
        for (int i = 0; i < N / 4; ++i) acc.v[m][i] = swiglu(acc.v[m][i], acc.v[m][N / 4 + i]);
      }
    }
  }

  /// `Count` column blocks of the accumulators from `First` on, to the columns from `column` on.
  template <int First, int Count, int MBlocks, int N>
  MOE_DEVICE void store_blocks(const Sm90Accumulators<MBlocks, N>& acc, const Tile& tile, const Table& table,
                               const abi::TensorMap& map, int column) const {
    MOE_UNROLL
    for (int block = First; block < First + Count; ++block) {
      if (leads()) ptx::bulk_wait_read<0>();
      barrier();  // the block before has been read
      stage(acc, block, table);
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

  template <int MBlocks, int N>
  MOE_DEVICE void stage(const Sm90Accumulators<MBlocks, N>& acc, int block, const Table& table) const {
    const u32 row_of_matrix = static_cast<u32>(lane()) % 8;
    const u32 high_half = static_cast<u32>(lane()) / 8 % 2;  // of the warp's 16
    const u32 next_matrix = static_cast<u32>(lane()) / 16;   // along the other side
    if constexpr (Config::swapped) {
      const u32 chunk = static_cast<u32>(warp()) * 2 + high_half;
      // Scales are read a few at a time: one after the other would wait for each, and all at once take too many registers.
      constexpr int batch = 4;
      MOE_UNROLL
      for (int start = 0; start < N / 8; start += batch) {
        float scales[batch][2];
        MOE_UNROLL
        for (int i = 0; i < batch * 2 && start + i / 2 < N / 8; ++i)
          scales[i / 2][i % 2] = post_scale(table, (start + i / 2) * 8 + lane() % 4 * 2 + i % 2);
        MOE_UNROLL
        for (int j = start; j < start + batch && j < N / 8; j += 2) {
          Words4 words;
          MOE_UNROLL
          for (int i = 0; i < 4; ++i) {
            const float(&scale)[2] = scales[j - start + i / 2];
            words.v[i] = pack(acc.v[block], j * 4 + i * 2, scale[0], scale[1]);
          }
          const u32 row = (static_cast<u32>(j) + next_matrix) * 8 + row_of_matrix;
          ptx::stmatrix_x4_transposed(words.v, chunk_address(row, chunk));
        }
      }
    } else {
      MOE_UNROLL
      for (int m = 0; m < MBlocks; ++m) {
        const int first = m * 64 + warp() * 16 + lane() / 4;
        const float scales[2] = {post_scale(table, first), post_scale(table, first + 8)};
        const u32 row = static_cast<u32>(m * 64 + warp() * 16) + high_half * 8 + row_of_matrix;
        MOE_UNROLL
        for (int j = 0; j < 8; j += 2) {
          Words4 words;
          MOE_UNROLL
          for (int i = 0; i < 4; ++i) words.v[i] = pack(acc.v[m], (block * 8 + j) * 4 + i * 2, scales[i % 2], scales[i % 2]);
          ptx::stmatrix_x4(words.v, chunk_address(row, static_cast<u32>(j) + next_matrix));
        }
      }
    }
  }

  static MOE_DEVICE float post_scale(const Table& table, int row) {
    return Problem::fuse_mul_post ? table.scale(first_row() + row) : 1.0f;
  }

  /// Two neighbours of the other side.
  template <int Count>
  static MOE_DEVICE u32 pack(const float (&d)[Count], int i, float scale, float next_scale) {
    if constexpr (Problem::fuse_mul_post) return ptx::pack<Problem::type>(d[i] * scale, d[i + 1] * next_scale);
    return ptx::pack<Problem::type>(d[i], d[i + 1]);
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
    constexpr int batch = 4;
    MOE_NO_UNROLL
    for (int start = warp() * 4 + lane() / 8; start < tile.rows; start += batch * 16) {
      int slots[batch];
      Words4 words[batch];
      MOE_UNROLL
      for (int i = 0; i < batch; ++i) {
        const int row = start + i * 16;
        slots[i] = -1;
        if (row >= tile.rows) continue;
        slots[i] = table.slot(first_row() + row);
        words[i] = ptx::load_shared_16(chunk_address(static_cast<u32>(row), chunk));
      }
      MOE_UNROLL
      for (int i = 0; i < batch; ++i) {
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
