// What the matrix pipelines of the study share: a ring of stages, and a warpgroup that multiplies what is in it.
// archs: sm_90a
//
// A stage is a k-block of 64: rows of 128 bytes with the 128-byte swizzle, first those of A, then 64 of B. Two mbarriers per
// stage: full (its data has landed) and empty (its readers are done). A warpgroup owns 64 rows of A:
//
//     producer    wait empty[s]   announce bytes at full[s]   copies
//     consumers   wait full[s]    products        one k-block later: arrive at empty[s]
#pragma once

#include "args.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/sync.cuh"
#include "ptx/wgmma.cuh"

namespace moe_tune::study {

inline constexpr int tile_rows = 64;     // of a warpgroup
inline constexpr int tile_columns = 64;  // of a block
inline constexpr int block_k = 64;
inline constexpr u32 row_bytes = block_k * 2;
inline constexpr u32 operand_bytes = 64 * row_bytes;

/// Where a user of a ring stands. A producer waits for the parity before its own: a fresh ring is empty.
template <int Stages>
struct RingPosition {
  u32 stage = 0;
  u32 parity = 0;

  MOE_DEVICE void advance(u32 steps = 1) {
    const u32 next = stage + steps;
    stage = next % Stages;
    parity ^= next / Stages & 1u;
  }
};

/// Shared memory: [stages][full mbarriers][empty mbarriers]. WrittenByThreads: A is copied by threads, not by TMA.
template <int Stages, u32 ABytes, bool WrittenByThreads = false>
struct Ring {
  static constexpr int stages = Stages;
  static constexpr u32 a_bytes = ABytes;
  static constexpr u32 stage_bytes = ABytes + operand_bytes;
  static constexpr u32 bytes = Stages * (stage_bytes + 16);

  u32 base;

  MOE_DEVICE u32 a(u32 stage) const { return base + stage * stage_bytes; }
  MOE_DEVICE u32 b(u32 stage) const { return a(stage) + ABytes; }
  MOE_DEVICE u32 full(u32 stage) const { return base + Stages * stage_bytes + stage * 8; }
  MOE_DEVICE u32 empty(u32 stage) const { return full(stage) + Stages * 8; }

  /// By one thread. Other threads use the barriers after a barrier of the block.
  MOE_DEVICE void init(u32 full_arrivals, u32 empty_arrivals) const {
    for (u32 stage = 0; stage < Stages; ++stage) {
      ptx::mbarrier_init(full(stage), full_arrivals);
      ptx::mbarrier_init(empty(stage), empty_arrivals);
    }
    ptx::fence_mbarrier_init();
  }

  MOE_DEVICE void wait_full(const RingPosition<Stages>& position) const {
    ptx::mbarrier_wait(full(position.stage), position.parity);
    if constexpr (WrittenByThreads) ptx::fence_async_shared();
  }
  MOE_DEVICE void wait_empty(const RingPosition<Stages>& position) const {
    ptx::mbarrier_wait(empty(position.stage), position.parity ^ 1u);
  }
};

/// Starts the products of one k-block; the first one of a tile overwrites the accumulators.
template <bool First>
MOE_DEVICE void start_products(float (&acc)[32], u32 a, u32 b) {
  const u64 a_descriptor = ptx::matrix_descriptor<ptx::SwizzleMode::b128>(a, 0, 8 * row_bytes);
  const u64 b_descriptor = ptx::matrix_descriptor<ptx::SwizzleMode::b128>(b, 0, 8 * row_bytes);
  ptx::warpgroup_fence();
  MOE_UNROLL
  for (int k = 0; k < block_k / 16; ++k) {
    ptx::wgmma<DType::bf16, tile_columns>(acc, ptx::advance_descriptor(a_descriptor, k * 32),
                                          ptx::advance_descriptor(b_descriptor, k * 32), !First || k > 0);
  }
  ptx::warpgroup_commit();
}

/// The products of a tile. `release(stage)` is called by all threads of the warpgroup when it has read a stage.
template <class R, class Release>
MOE_DEVICE void multiply_tile(float (&acc)[32], const R& ring, RingPosition<R::stages>& position, int k_blocks, u32 a_offset,
                              const Release& release) {
  ring.wait_full(position);
  start_products<true>(acc, ring.a(position.stage) + a_offset, ring.b(position.stage));
  u32 previous = position.stage;
  position.advance();
  MOE_NO_UNROLL
  for (int k_block = 1; k_block < k_blocks; ++k_block) {
    ring.wait_full(position);
    start_products<false>(acc, ring.a(position.stage) + a_offset, ring.b(position.stage));
    ptx::warpgroup_wait<1>();
    release(previous);
    previous = position.stage;
    position.advance();
  }
  ptx::warpgroup_wait<0>();
  ptx::keep_registers(acc);
  release(previous);
}

/// Stores the part of a warpgroup's tile that lies in Y, straight from registers; the tile begins at (row, column).
MOE_DEVICE void store_tile(const float (&acc)[32], const PipelineArgs& args, int row, int column) {
  const int first_row = row + static_cast<int>(ptx::thread_index() / 32 % 4 * 16 + ptx::lane_index() / 4);
  const int first_column = column + static_cast<int>(ptx::lane_index() % 4) * 2;
  MOE_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int y_row = first_row + half * 8;
    if (y_row >= args.M) continue;
    char* target = ptx::advance(static_cast<char*>(args.y), y_row, args.N * 2);
    MOE_UNROLL
    for (int j = 0; j < tile_columns / 8; ++j) {
      const int y_column = first_column + j * 8;
      if (y_column >= args.N) continue;
      ptx::store(reinterpret_cast<u32*>(target + y_column * 2),
                 ptx::pack<DType::bf16>(acc[4 * j + 2 * half], acc[4 * j + 2 * half + 1]));
    }
  }
}

MOE_DEVICE int tiles_of(int extent, int tile) { return (extent + tile - 1) / tile; }

}  // namespace moe_tune::study
