// The dispatch before a kernel: rows of one of its operands are copied to expert order, so that the kernel loads them as boxes.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/rows_sm90.cuh"
#include "kernels/permute_rows.cuh"
#include "ptx/shared.cuh"
#include "schedule/expert_tiles.cuh"

namespace moe_tune {

template <int E, int RowLength, int SlotsPerRow>
class DispatchRows {
  using Rows = ExpertTiles<E, 16, 16, 16, TileOrder::m_fastest>;

 public:
  static constexpr int shared_bytes = Rows::shared_bytes;

  /// Copies row gather_indices[r] / SlotsPerRow of args.x to row r of `rows`, (M, RowLength) contiguous; zeros for a bad index.
  /// Rows past sum(m_sizes) are left alone.
  static MOE_DEVICE void run(const abi::GroupedGemmArgs& args, void* rows) {
    const u32 shared = ptx::shared_base();
    if (ptx::thread_index() < 32) Rows::prepare(args, shared);
    ptx::block_barrier();
    permute_rows<abi::dispatch_threads>(args, static_cast<char*>(rows), RowLength * 2, RowLength / 8, SlotsPerRow,
                                        Rows(shared).rows());
  }
};

}  // namespace moe_tune
