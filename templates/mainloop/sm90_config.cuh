// The compile-time half of a kernel of the sm90 family: generator/include/moe_tune/config.hpp says what the fields mean.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A stage of the ring holds a k-block of both operands, weights first. Each is made of lines of 64 elements with the 128-byte
// swizzle: a box of TMA is some lines below each other. Lines run along K, or along the operand's other side where that is how it
// lies in global memory (mainloop/sm90_operand.cuh).
#pragma once

#include "ptx/base.cuh"

namespace moe_tune {

enum class MmaM { tokens, weights };
enum class Schedule { cooperative, ping_pong };
enum class TileSource { static_order, queue };
enum class Gather { dispatch, in_kernel, copy_ahead };

// Named barriers of a block.
inline constexpr int gather_barrier = 1;     // of the warps that gather
inline constexpr int consumer_barriers = 2;  // one for each consumer warpgroup

/// Of a row of an operand in shared memory: 64 elements.
inline constexpr int sm90_k = 64;
inline constexpr u32 sm90_row_bytes = sm90_k * 2;

template <int BlockM, int BlockN, int BlockK, MmaM MSide, Schedule Order, int Consumers, int Stages, int CtasPerSm, int Cluster,
          TileSource Source, Gather How>
struct Sm90Config {
  static constexpr int block_m = BlockM;
  static constexpr int block_n = BlockN;
  static constexpr int block_k = BlockK;
  static constexpr bool swapped = MSide == MmaM::weights;  // weights on the MMA's M side
  static constexpr bool ping_pong = Order == Schedule::ping_pong;
  static constexpr int consumers = Consumers;  // warpgroups
  static constexpr int stages = Stages;
  static constexpr int ctas_per_sm = CtasPerSm;
  static constexpr int cluster = Cluster;
  static constexpr bool queue = Source == TileSource::queue;
  static constexpr bool gathers = How == Gather::in_kernel;
  static constexpr bool copies = How == Gather::copy_ahead;

  static constexpr int threads = 128 * (Consumers + 1);
  static constexpr int consumers_of_tile = ping_pong ? 1 : Consumers;
  /// 64-row blocks of the MMA's M side that a consumer multiplies.
  static constexpr int m_blocks = (swapped ? BlockN : BlockM) / (64 * consumers_of_tile);
  /// The other side.
  static constexpr int mma_n = swapped ? BlockM : BlockN;
  /// Rows and columns of the tile that a consumer stores.
  static constexpr int store_rows = swapped ? BlockM : 64 * m_blocks;
  static constexpr int store_columns = swapped ? 64 * m_blocks : BlockN;
  /// Rows of a tile are a multiple of this where an expert has several tiles.
  static constexpr int row_grain = swapped ? 16 : 64;

  /// With tiles as low as this an expert's rows are meant to be one tile: its weights are read once.
  static constexpr bool streams_weights = BlockM < 128;

  static constexpr int k_slices = BlockK / sm90_k;
  /// Of a reduction of length k.
  static MOE_DEVICE constexpr int k_blocks(int k) { return (k + BlockK - 1) / BlockK; }
  static constexpr u32 x_slice_bytes = BlockM * sm90_row_bytes;
  static constexpr u32 x_offset = k_slices * BlockN * sm90_row_bytes;  // behind the weights
  static constexpr u32 stage_bytes = x_offset + k_slices * x_slice_bytes;

  static_assert(BlockK % sm90_k == 0 && BlockM % 16 == 0 && BlockN % 64 == 0);
  static_assert(m_blocks >= 1 && (swapped ? BlockN : BlockM) % (64 * consumers_of_tile) == 0,
                "consumers share whole 64-row blocks");
  static_assert(mma_n <= 256 && BlockM <= 256 && BlockN <= 256);
  static_assert(!ping_pong || Consumers == 2);
  static_assert(Cluster == 1 || Cluster == 2);
};

}  // namespace moe_tune
