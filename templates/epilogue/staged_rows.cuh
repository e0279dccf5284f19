// The epilogue of the sm90 family: accumulators, scaled and activated in float32 and rounded once, through shared memory to rows
// of y.
// archs: sm_90a
//
// A consumer stores its part of a tile by column blocks of 64, through its staging buffer. From there
// - rows in expert order go by TMA, clipped behind the expert's last row by the map (abi/rows_sm90.cuh);
// - scattered rows go by 16-byte stores, 128 bytes of a row at a time.
#pragma once

#include "abi/rows_sm90.cuh"
#include "epilogue/row_table.cuh"
#include "epilogue/staging.cuh"
#include "epilogue/swiglu.cuh"
#include "ptx/tma.cuh"

namespace moe_tune {

template <class Problem, class Config>
class StagedRows : public Staging<Problem::type, Config> {
  using Base = Staging<Problem::type, Config>;
  using Base::barrier, Base::consumer, Base::lane, Base::leads, Base::warp;
  using typename Base::Accumulators;
  using Table = RowTable<Problem, Config>;
  static constexpr int y_columns = Problem::fuse_swiglu ? Problem::N / 2 : Problem::N;
  static constexpr int blocks = Base::blocks;

 public:
  MOE_DEVICE StagedRows(const abi::RowsSm90Args& args, u32 staging, u32 tables, u32 turn_barriers)
      : Base(staging, turn_barriers), args_(args), tables_(tables) {}

  /// Rounds and stores what the tile has rows of. `turn` counts the consumer's tiles from 0.
  MOE_DEVICE void store(Accumulators& acc, const Tile& tile, u32 turn) const {
    this->wait_turn(turn);
    const Table table(tables_, consumer(), turn);
    if constexpr (Table::needed) table.wait();
    if (tile.rows > 0) store_rows(acc, tile, table);
    if constexpr (Table::needed) table.release();
    this->pass_turn(Problem::scatter_rows);
  }

 private:
  /// Of the tile's rows, the first that this consumer stores.
  static MOE_DEVICE int first_row() {
    return Config::swapped || Config::ping_pong ? 0 : static_cast<int>(consumer()) * Config::store_rows;
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
      this->stage(acc, block, tile.rows, !Problem::scatter_rows);
      const int first = column + (block - First) * 64;
      if constexpr (Problem::scatter_rows) {
        scatter(tile, table, first);
      } else if (leads() && first < y_columns) {
        store_by_tma(tile, map, first);
      }
    }
  }

  /// By one thread.
  MOE_DEVICE void store_by_tma(const Tile& tile, const abi::TensorMap& map, int column) const {
    for (int row = 0; row < tile.rows; row += Base::box_rows) {
      ptx::tma_store_3d(&map, this->row_address(row), column, Config::store_rows - tile.rows + row, tile.row + tile.rows);
      Base::commit();
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
        words[i] = ptx::load_shared_16(this->chunk_address(static_cast<u32>(row), chunk));
      }
      MOE_UNROLL
      for (int i = 0; i < rows_at_once; ++i) {
        if (slots[i] < 0) continue;
        char* y = ptx::advance(static_cast<char*>(args_.gemm.y), slots[i], args_.gemm.y_row_bytes);
        ptx::store(y + first * 2, words[i]);
      }
    }
  }

  const abi::RowsSm90Args& args_;
  u32 tables_;
};

}  // namespace moe_tune
