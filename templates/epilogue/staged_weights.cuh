// The epilogue of dW of the sm90 family: accumulators, rounded at most once, through shared memory to a tile of dW.
// archs: sm_90a
//
// With few rows per expert storing is most of the work: so each consumer has buffers of its own, two where they fit, and a whole
// column block leaves by one box: 64 columns of 16 bits or 32 of float32.
//
// Where dW accumulates, TMA adds float32 in global memory: to each element once, so that there is one order. In 16 bits that
// would round twice. What stands in dW is brought to the buffers instead, the first blocks during the products, and sums take its
// place:
//
//     old block 0 | old block 1 | products ... | 0: add, store | old block 2 into 0's buffer | 1: add, store | 2: add, store
#pragma once

#include "abi/weights_sm90.cuh"
#include "epilogue/add_rounded.cuh"
#include "epilogue/staging.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "schedule/weight_tiles.cuh"

namespace moe_tune {

template <class Problem, class Config, int Buffers>
class StagedWeights : public Staging<Problem::type, Config, /*Shared*/ false> {
  using Base = Staging<Problem::type, Config, false>;
  using typename Base::Accumulators;
  static constexpr int columns = Problem::float32_dw ? 32 : 64;  // of a column block
  static constexpr int blocks = Config::block_n / columns;
  static constexpr bool adds_here = Problem::accumulate && !Problem::float32_dw;

 public:
  /// `old_barriers`: an mbarrier of count 1 for each of the consumer's buffers.
  MOE_DEVICE StagedWeights(const abi::WeightsSm90Args& args, u32 staging, u32 old_barriers)
      : Base(staging, 0), args_(args), old_barriers_(old_barriers) {}

  /// Before the products of a tile.
  MOE_DEVICE void prepare(const WeightTile& tile) const {
    if constexpr (!adds_here) return;
    if (!Base::leads() || !stores(tile)) return;
    ptx::bulk_wait_read<0>();
    for (int block = 0; block < Buffers && block < blocks_within(tile); ++block) load_old(tile, block);
  }

  /// Stores the consumer's part of a tile; TMA clips what lies past N and K. `turn` counts its tiles from 0.
  MOE_DEVICE void store(const Accumulators& acc, const WeightTile& tile, u32 turn) {
    if constexpr (adds_here) {
      if (stores(tile)) store_sums(acc, tile);
    } else {
      MOE_UNROLL
      for (int block = 0; block < blocks; ++block) {
        const u32 buffer = (turn * blocks + block) % Buffers;
        if (stores(tile) && block < blocks_within(tile)) {
          stage(acc, block, buffer);
          if (Base::leads()) store_by_tma(tile, block, buffer);
        }
        if (Base::leads()) ptx::bulk_commit();  // also of nothing: a group for each block
      }
    }
  }

 private:
  static MOE_DEVICE int first_row(const WeightTile& tile) {
    return tile.tile_n * Config::block_m + (Config::ping_pong ? 0 : static_cast<int>(Base::consumer()) * Config::store_rows);
  }
  static MOE_DEVICE int first_column(const WeightTile& tile, int block) {
    return tile.tile_k * Config::block_n + block * columns;
  }

  /// Whether the consumer has a part of the tile. An expert without rows keeps its bits: adding zeros would change those of -0,
  /// and of subnormals in global memory.
  static MOE_DEVICE bool stores(const WeightTile& tile) {
    return (Problem::N % Config::block_m == 0 || first_row(tile) < Problem::N) && (!Problem::accumulate || tile.rows > 0);
  }
  /// Column blocks that begin before K.
  static MOE_DEVICE int blocks_within(const WeightTile& tile) {
    if constexpr (Problem::K % Config::block_n == 0) return blocks;
    const int left = (Problem::K - first_column(tile, 0) + columns - 1) / columns;
    return left < blocks ? left : blocks;
  }

  /// Once the block that the buffer held has been read.
  MOE_DEVICE void stage(const Accumulators& acc, int block, u32 buffer) const {
    if constexpr (Problem::float32_dw) {
      Base::template fill<Buffers>([&] { write_float32(acc, block, this->buffer_address(buffer)); }, true);
    } else {
      Base::template stage<Buffers>(acc, block, Config::store_rows, true, buffer);
    }
  }

  // Layout of accumulators: ptx/wgmma.cuh. In one store of a warp neighbouring rows meet in the same chunk of the banks: of their
  // pairs of columns odd rows store the second one first.
  static MOE_DEVICE void write_float32(const Accumulators& acc, int block, u32 buffer) {
    const u32 g = static_cast<u32>(Base::lane()) / 4;
    const u32 t = static_cast<u32>(Base::lane()) % 4;
    const u32 second = g % 2;
    MOE_UNROLL
    for (int m = 0; m < Config::m_blocks; ++m) {
      MOE_UNROLL
      for (int i = 0; i < 16; i += 2) {
        const float* pair = acc.v[m] + block * 16 + i;
        const u32 row = static_cast<u32>(m * 64 + Base::warp() * 16 + i / 2 % 2 * 8) + g;
        const u32 address = Base::chunk_address(buffer, row, static_cast<u32>(i / 4 * 2) + t / 2) + t % 2 * 8;
        ptx::store_shared(address + second * 4, second != 0 ? pair[1] : pair[0]);
        ptx::store_shared(address + (1 - second) * 4, second != 0 ? pair[0] : pair[1]);
      }
    }
  }

  /// The sums of a tile whose first old blocks are on their way.
  MOE_DEVICE void store_sums(const Accumulators& acc, const WeightTile& tile) {
    const int within = blocks_within(tile);
    MOE_UNROLL
    for (int block = 0; block < blocks; ++block) {
      if (block >= within) break;
      if (Base::leads() && block > 0 && block + Buffers - 1 < within) {
        ptx::bulk_wait_read<0>();
        load_old(tile, block + Buffers - 1);
      }
      const u32 number = stored_ + static_cast<u32>(block);
      const u32 buffer = number % Buffers;
      ptx::mbarrier_wait(old_barriers_ + buffer * 8, number / Buffers % 2);
      ptx::warp_barrier();
      add(acc, block, this->buffer_address(buffer));
      ptx::fence_async_shared();
      this->barrier();
      if (!Base::leads()) continue;
      store_by_tma(tile, block, buffer);
      ptx::bulk_commit();
    }
    stored_ += static_cast<u32>(within);
  }

  /// Brings a column block of dW to its buffer, which has been read. By one thread.
  MOE_DEVICE void load_old(const WeightTile& tile, int block) const {
    const u32 buffer = (stored_ + static_cast<u32>(block)) % Buffers;
    const u32 barrier = old_barriers_ + buffer * 8;
    ptx::mbarrier_arrive_expect_tx(barrier, Base::staging_bytes);
    ptx::tma_load_3d(this->buffer_address(buffer), &args_.w, barrier, first_column(tile, block), first_row(tile), tile.expert);
  }

  /// Adds the accumulators of a column block to what lies in a buffer.
  static MOE_DEVICE void add(const Accumulators& acc, int block, u32 buffer) {
    MOE_UNROLL
    for (int m = 0; m < Config::m_blocks; ++m) {
      MOE_UNROLL
      for (int j = 0; j < 8; j += 2) {
        const u32 address = Base::matrices_address(buffer, m, j);
        Words4 words;
        ptx::ldmatrix_x4(words.v, address);
        MOE_UNROLL
        for (int i = 0; i < 4; ++i) {
          const float* pair = acc.v[m] + (block * 8 + j) * 4 + i * 2;
          words.v[i] = add_rounded<Problem::type>(words.v[i], pair[0], pair[1]);
        }
        ptx::stmatrix_x4(words.v, address);
      }
    }
  }

  /// By one thread.
  MOE_DEVICE void store_by_tma(const WeightTile& tile, int block, u32 buffer) const {
    const u32 source = this->buffer_address(buffer);
    const int n = first_row(tile);
    const int k = first_column(tile, block);
    if constexpr (Problem::float32_dw && Problem::accumulate) {
      ptx::tma_reduce_add_3d(&args_.w, source, k, n, tile.expert);
    } else {
      ptx::tma_store_3d(&args_.w, source, k, n, tile.expert);
    }
  }

  const abi::WeightsSm90Args& args_;
  u32 old_barriers_;
  u32 stored_ = 0;  // column blocks of sums so far
};

}  // namespace moe_tune
