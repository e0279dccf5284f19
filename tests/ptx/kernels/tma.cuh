// Copies through tensor maps by single blocks.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/cache_policy.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "ptx/tma.cuh"
#include "setup.cuh"

namespace moe_tune::micro {

/// Loads a box of Bytes to Offset bytes into shared memory that held ones; all of it up to there and 128 bytes more goes out.
template <int Rank, bool Policy, int Bytes, int Offset, int X, int Y, int Z, int W>
MOE_DEVICE void load_box(const Arguments& args) {
  constexpr int room = Offset + Bytes + 128;
  const u32 data = ptx::shared_base(), mbarrier = data + room;
  const abi::TensorMap* const map = &args.maps[0];
  fill_with_ones<64>(data, room);
  make_mbarriers<1>(mbarrier, 1);
  if (ptx::thread_index() == 0) {
    ptx::prefetch_tensor_map(map);
    ptx::mbarrier_arrive_expect_tx(mbarrier, Bytes);
    if constexpr (Rank == 2 && !Policy) ptx::tma_load_2d(data + Offset, map, mbarrier, X, Y);
    if constexpr (Rank == 3 && !Policy) ptx::tma_load_3d(data + Offset, map, mbarrier, X, Y, Z);
    if constexpr (Rank == 2 && Policy) ptx::tma_load_2d(data + Offset, map, mbarrier, X, Y, ptx::policy_evict_last());
    if constexpr (Rank == 3 && Policy) ptx::tma_load_3d(data + Offset, map, mbarrier, X, Y, Z, ptx::policy_evict_first());
    if constexpr (Rank == 4 && !Policy) ptx::tma_load_4d(data + Offset, map, mbarrier, X, Y, Z, W);
    if constexpr (Rank == 4 && Policy) ptx::tma_load_4d(data + Offset, map, mbarrier, X, Y, Z, W, ptx::policy_evict_first());
  }
  ptx::mbarrier_wait(mbarrier, 0);
  put_shared<64>(args.output, data, room);
}

enum class Store { replace, add };

/// Stores, or adds, a box of Bytes of the input, which lie Offset bytes into shared memory. Every block does.
template <int Rank, Store How, int Bytes, int Offset, int X, int Y, int Z>
MOE_DEVICE void store_box(const Arguments& args) {
  const u32 data = ptx::shared_base() + Offset;
  const abi::TensorMap* const map = &args.maps[0];
  fill_from<64>(data, args.input, Bytes);
  ptx::block_barrier();
  if (ptx::thread_index() != 0) return;
  if constexpr (Rank == 2 && How == Store::replace) ptx::tma_store_2d(map, data, X, Y);
  if constexpr (Rank == 3 && How == Store::replace) ptx::tma_store_3d(map, data, X, Y, Z);
  if constexpr (Rank == 2 && How == Store::add) ptx::tma_reduce_add_2d(map, data, X, Y);
  if constexpr (Rank == 3 && How == Store::add) ptx::tma_reduce_add_3d(map, data, X, Y, Z);
  ptx::bulk_commit();
  ptx::bulk_wait<0>();
}

/// Boxes through one map into shared memory and through another out of it, by other coordinates: Boxes of them in a row along y,
/// Stages in flight. Nothing but asynchronous copies touches the data.
template <int Bytes, int Stages, int Boxes, int Rows>
MOE_DEVICE void through_shared(const Arguments& args) {
  const u32 data = ptx::shared_base(), mbarriers = data + Stages * Bytes;
  make_mbarriers<Stages>(mbarriers, 1);
  if (ptx::thread_index() != 0) return;
  const auto load = [&](int box) {
    const u32 stage = box % Stages;
    ptx::mbarrier_arrive_expect_tx(mbarriers + stage * 8, Bytes);
    ptx::tma_load_2d(data + stage * Bytes, &args.maps[0], mbarriers + stage * 8, 0, box * Rows);
  };
  for (int box = 0; box < Stages && box < Boxes; ++box) load(box);
  for (int box = 0; box < Boxes; ++box) {
    const u32 stage = box % Stages;
    ptx::mbarrier_wait(mbarriers + stage * 8, box / Stages & 1);
    ptx::tma_store_2d(&args.maps[1], data + stage * Bytes, 0, (Boxes - 1 - box) * Rows);
    ptx::bulk_commit();
    if (box + Stages >= Boxes) continue;
    ptx::bulk_wait_read<0>();
    load(box + Stages);
  }
  ptx::bulk_wait_read<0>();
}

}  // namespace moe_tune::micro
