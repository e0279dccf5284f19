// The dispatch before a kernel: rows of one of its operands are copied to expert order, so that the kernel loads them as boxes.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp copies a row at a time and knows the next one's slot by then. Tokens are read top_k times, after the first from the L2
// where they stay there; what takes the time is writing them.
#pragma once

#include "abi/rows_sm90.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "schedule/expert_tiles.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

template <int E, int RowLength, int SlotsPerRow>
class DispatchRows {
  using Rows = ExpertTiles<E, 16, 16, 16, TileOrder::m_fastest>;
  static constexpr int chunks = RowLength / 8;  // of 16 bytes
  static constexpr int in_flight = 8;           // per lane

 public:
  static constexpr int shared_bytes = Rows::shared_bytes;

  /// Copies row gather_indices[r] / SlotsPerRow of args.x to row r of `rows`, (M, RowLength) contiguous; zeros for a bad index.
  /// Rows past sum(m_sizes) are left alone.
  static MOE_DEVICE void run(const abi::GroupedGemmArgs& args, void* rows) {
    const u32 shared = ptx::shared_base();
    if (ptx::thread_index() < 32) Rows::prepare(args, shared);
    ptx::block_barrier();
    const int count = Rows(shared).rows();
    const int warps = static_cast<int>(ptx::grid_size()) * abi::dispatch_threads / 32;
    int row = (static_cast<int>(ptx::block_index()) * abi::dispatch_threads + static_cast<int>(ptx::thread_index())) / 32;
    int slot = row < count ? load_slot(args, row) : -1;
    while (row < count) {
      const int next = row + warps;
      const int next_slot = next < count ? load_slot(args, next) : -1;
      copy(args, slot, static_cast<char*>(rows) + static_cast<i64>(row) * (RowLength * 2));
      row = next;
      slot = next_slot;
    }
  }

 private:
  static MOE_DEVICE void copy(const abi::GroupedGemmArgs& args, int slot, char* target) {
    const char* source = static_cast<const char*>(args.x) + static_cast<i64>(slot / SlotsPerRow) * args.x_row_bytes;
    const int lane = static_cast<int>(ptx::lane_index());
    MOE_NO_UNROLL
    for (int first = 0; first < chunks; first += 32 * in_flight) {
      Words4 words[in_flight] = {};
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int chunk = first + i * 32 + lane;
        if (slot >= 0 && chunk < chunks) words[i] = ptx::load_constant_16(source + chunk * 16);
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int chunk = first + i * 32 + lane;
        if (chunk < chunks) ptx::store(static_cast<void*>(target + chunk * 16), words[i]);
      }
    }
  }
};

}  // namespace moe_tune
