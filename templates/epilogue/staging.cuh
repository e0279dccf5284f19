// The staging buffer of an sm90 epilogue: accumulators go through it to rows in global memory, 64 columns at a time.
// archs: sm_90a
//
// A column block lies in the buffer as it lies in global memory, row by row with the 128-byte swizzle. stmatrix brings it there,
// transposed where weights are on the M side of the MMA, without bank conflicts. One small buffer is enough: a ping-pong consumer
// stores while the other multiplies, and ring stages are worth more.
#pragma once

#include "mainloop/sm90_multiply.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/stmatrix.cuh"

namespace moe_tune {

/// Used by the threads of a consumer warpgroup together. `Shared`: the consumers of a ping-pong block share the buffer; else each
/// consumer has one of its own, or several in a row.
template <DType Type, class Config, bool Shared = Config::ping_pong>
class Staging {
 protected:
  using Accumulators = Sm90Accumulators<Config>;
  static constexpr int blocks = Config::store_columns / 64;
  static constexpr int box_rows = Config::store_rows % 32 == 0 ? 32 : 16;
  static constexpr bool turns = Shared;

 public:
  /// Shared memory of one buffer.
  static constexpr u32 staging_bytes = Config::store_rows * sm90_row_bytes;

  /// `turn_barriers`: two mbarriers of count 1 at which consumers wait for a buffer that they share.
  MOE_DEVICE Staging(u32 staging, u32 turn_barriers) : staging_(staging), turn_barriers_(turn_barriers) {}

  /// After the last tile.
  MOE_DEVICE void finish() const {
    if (leads()) ptx::bulk_wait<0>();
  }

 protected:
  // Not kept: accumulators leave few registers.
  static MOE_DEVICE u32 consumer() { return ptx::thread_index() / 128; }
  static MOE_DEVICE int warp() { return static_cast<int>(ptx::thread_index() / 32 % 4); }
  static MOE_DEVICE int lane() { return static_cast<int>(ptx::lane_index()); }
  static MOE_DEVICE bool leads() { return ptx::thread_index() % 128 == 0; }

  /// Among the threads of the warpgroup. Constant ids: an unknown one would reserve all 16.
  static MOE_DEVICE void barrier() {
    if (Config::consumers == 1 || consumer() == 0) {
      ptx::named_barrier<consumer_barriers, 128>();
    } else {
      ptx::named_barrier<consumer_barriers + 1, 128>();
    }
  }

  /// `turn` counts the consumer's tiles from 0. Consumer 0 begins: the phase before the first counts as over.
  MOE_DEVICE void wait_turn(u32 turn) const {
    if constexpr (turns) ptx::mbarrier_wait(turn_barriers_ + consumer() * 8, turn % 2 ^ (1 - consumer()));
  }
  /// `everybody_reads`: other threads than the leading one read the buffer.
  MOE_DEVICE void pass_turn(bool everybody_reads) const {
    if (turns && everybody_reads) barrier();
    if (turns && leads()) ptx::mbarrier_arrive(turn_barriers_ + (1 - consumer()) * 8);
  }

  /// Brings the first `rows` rows of a column block to one of `Buffers` buffers, taken in turn, once the block that it held has
  /// been read. By TMA it may leave then where everybody has met with `by_tma`, as one bulk group where there are several
  /// buffers.
  template <int Buffers = 1>
  MOE_DEVICE void stage(const Accumulators& acc, int block, int rows, bool by_tma, u32 buffer = 0) const {
    fill<Buffers>([&] { write(acc, block, rows, buffer_address(buffer)); }, by_tma);
  }

  /// The same of what `write` writes.
  template <int Buffers, class Write>
  static MOE_DEVICE void fill(const Write& write, bool by_tma) {
    if (leads()) ptx::bulk_wait_read<Buffers - 1>();
    barrier();  // the block before has been read
    write();
    if (by_tma) ptx::fence_async_shared();
    barrier();
  }

  /// Of the four 8x8 matrices in the warp's rows of the consumer's m-th 64 and 16 columns from chunk j on, in the order of a
  /// lane's accumulators: the row that this lane addresses.
  static MOE_DEVICE u32 matrices_address(u32 buffer, int m, int j) {
    const u32 row = static_cast<u32>(m * 64 + warp() * 16 + lane() % 16);
    return chunk_address(buffer, row, static_cast<u32>(j + lane() / 16));
  }

  MOE_DEVICE u32 chunk_address(u32 row, u32 chunk) const { return chunk_address(staging_, row, chunk); }
  static MOE_DEVICE u32 chunk_address(u32 buffer, u32 row, u32 chunk) {
    return buffer + row * sm90_row_bytes + ((chunk ^ row % 8) << 4);
  }
  MOE_DEVICE u32 row_address(int row) const { return staging_ + static_cast<u32>(row) * sm90_row_bytes; }
  MOE_DEVICE u32 buffer_address(u32 buffer) const { return staging_ + buffer * staging_bytes; }

  /// Behind a tensor store of some of the buffer's rows: a whole block at once holds up the loads of the other consumer.
  static MOE_DEVICE void commit() {
    ptx::bulk_commit();
    if constexpr (turns) ptx::bulk_wait_read<0>();
  }

 private:
  // Element i of a lane's d belongs to row (with weights on the M side: column) g + 8 * (i / 2 % 2) of its warp's 16, and to the
  // other side's 8 * (i / 4) + 2 * t + i % 2; g = lane / 4, t = lane % 4. 16 rows or, on the M side, 64 are left out together.
  static MOE_DEVICE void write(const Accumulators& acc, int block, int rows, u32 buffer) {
    if constexpr (Config::swapped) {
      const u32 row_of_matrix = static_cast<u32>(lane()) % 8;
      const u32 high_half = static_cast<u32>(lane()) / 8 % 2;  // of the warp's 16
      const u32 next_matrix = static_cast<u32>(lane()) / 16;   // along the other side
      const u32 chunk = static_cast<u32>(warp()) * 2 + high_half;
      MOE_UNROLL
      for (int j = 0; j < Config::mma_n / 8; j += 2) {
        if (j * 8 >= rows) break;
        const u32 row = (static_cast<u32>(j) + next_matrix) * 8 + row_of_matrix;
        ptx::stmatrix_x4_transposed(pack(acc.v[block], j * 4).v, chunk_address(buffer, row, chunk));
      }
    } else {
      MOE_UNROLL
      for (int m = 0; m < Config::m_blocks; ++m) {
        if (m * 64 >= rows) break;
        MOE_UNROLL
        for (int j = 0; j < 8; j += 2) ptx::stmatrix_x4(pack(acc.v[m], (block * 8 + j) * 4).v, matrices_address(buffer, m, j));
      }
    }
  }

  /// Eight in a row.
  template <int Count>
  static MOE_DEVICE Words4 pack(const float (&d)[Count], int first) {
    Words4 words;
    MOE_UNROLL
    for (int i = 0; i < 4; ++i) words.v[i] = ptx::pack<Type>(d[first + i * 2], d[first + i * 2 + 1]);
    return words;
  }

  u32 staging_;
  u32 turn_barriers_;
};

}  // namespace moe_tune
