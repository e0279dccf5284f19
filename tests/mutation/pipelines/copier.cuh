// A copier beside its users: one warp gathers rows into a workspace by bulk copies and releases a flag per piece of eight rows;
// another block's warp acquires the flag and reads the piece.
// archs: sm_90a
//
// Warp 0 copies the pieces block, block + grid, ...: row r of the workspace is row indices[r] of x, over four slots in shared
// memory, loads two rows ahead of the stores. Warp 1 reads the pieces that the next block copies and writes them to y. All blocks
// are resident at once, and copying waits for nobody, so every flag is released in the end.
#pragma once

#include "args.cuh"
#include "ptx/atomics.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::study {

inline constexpr int piece_rows = 8;
inline constexpr u32 copied_row_bytes = 256;
inline constexpr u32 piece_bytes = piece_rows * copied_row_bytes;
inline constexpr int slots = 4;
inline constexpr int ahead = 2;  // loads before stores

/// Shared memory: [a piece][slots][mbarriers of the slots][mbarrier of the piece].
struct CopierMemory {
  u32 base;
  MOE_DEVICE u32 piece() const { return base; }
  MOE_DEVICE u32 slot(int i) const { return base + piece_bytes + static_cast<u32>(i) * copied_row_bytes; }
  MOE_DEVICE u32 landed(int i) const { return slot(slots) + static_cast<u32>(i) * 8; }
  MOE_DEVICE u32 piece_landed() const { return landed(slots); }
};

/// The row that this block copies i-th; below the number of its rows.
MOE_DEVICE int copied_row(int i) {
  const int piece = static_cast<int>(ptx::block_index()) + i / piece_rows * static_cast<int>(ptx::grid_size());
  return piece * piece_rows + i % piece_rows;
}

MOE_DEVICE void copy_rows(const PipelineArgs& args, const CopierMemory& memory) {
  const int rows = args.M / static_cast<int>(ptx::grid_size());  // M is a multiple of grid x piece_rows
  for (int i = 0; i < rows + ahead; ++i) {
    if (i < rows) {
      const int slot = i % slots;
      if (i >= slots) ptx::bulk_wait_read<slots - ahead - 1>();
      const int source = ptx::load_constant(args.indices + copied_row(i));
      ptx::mbarrier_arrive_expect_tx(memory.landed(slot), copied_row_bytes);
      ptx::bulk_load(memory.slot(slot), static_cast<const char*>(args.x) + static_cast<i64>(source) * copied_row_bytes,
                     copied_row_bytes, memory.landed(slot));
    }
    if (i < ahead) continue;
    const int stored = i - ahead;
    ptx::mbarrier_wait(memory.landed(stored % slots), static_cast<u32>(stored / slots) & 1u);
    ptx::bulk_store(static_cast<char*>(args.workspace) + static_cast<i64>(copied_row(stored)) * copied_row_bytes,
                    memory.slot(stored % slots), copied_row_bytes);
    ptx::bulk_commit();
    if (stored % piece_rows != piece_rows - 1) continue;
    ptx::bulk_wait<0>();  // written, not just read
    ptx::fence_async_global();
    ptx::reduce_add_release_gpu(args.counters + copied_row(stored) / piece_rows, piece_rows);
  }
}

MOE_DEVICE void use_pieces(const PipelineArgs& args, const CopierMemory& memory) {
  const int grid = static_cast<int>(ptx::grid_size());
  u32 parity = 0;
  for (int piece = (static_cast<int>(ptx::block_index()) + 1) % grid; piece < args.M / piece_rows; piece += grid) {
    if (ptx::lane_index() == 0) {
      while (ptx::load_acquire_gpu(args.counters + piece) != piece_rows) {
      }
      ptx::fence_async_global();
      ptx::mbarrier_arrive_expect_tx(memory.piece_landed(), piece_bytes);
      ptx::bulk_load(memory.piece(), static_cast<const char*>(args.workspace) + static_cast<i64>(piece) * piece_bytes,
                     piece_bytes, memory.piece_landed());
    }
    ptx::mbarrier_wait(memory.piece_landed(), parity);
    parity ^= 1u;
    char* target = static_cast<char*>(args.y) + static_cast<i64>(piece) * piece_bytes;
    for (u32 offset = ptx::lane_index() * 16; offset < piece_bytes; offset += 32 * 16) {
      ptx::store(target + offset, ptx::load_shared_16(memory.piece() + offset));
    }
    ptx::warp_barrier();  // the next piece takes its place
  }
}

}  // namespace moe_tune::study

MOE_KERNEL(64, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const study::CopierMemory memory{ptx::shared_base()};
  if (ptx::thread_index() == 0) {
    for (int slot = 0; slot < study::slots; ++slot) ptx::mbarrier_init(memory.landed(slot), 1);
    ptx::mbarrier_init(memory.piece_landed(), 1);
    ptx::fence_mbarrier_init();
  }
  ptx::block_barrier();
  if (ptx::thread_index() == 0) study::copy_rows(args, memory);
  if (ptx::thread_index() >= 32) study::use_pieces(args, memory);
}
