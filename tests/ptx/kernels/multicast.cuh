// Copies that reach several blocks of a cluster. Compilers warn about multicast on anything but sm_90a.
// archs: sm_90a
#pragma once

#include "arguments.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/cache_policy.cuh"
#include "ptx/cluster.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "ptx/tma.cuh"
#include "setup.cuh"

namespace moe_tune::micro {

/// All blocks of the cluster have initialised their mbarriers and filled their memory.
template <int Count>
MOE_DEVICE void make_ready(u32 mbarriers, u32 arrivals) {
  if (ptx::thread_index() == 0) {
    for (int i = 0; i < Count; ++i) ptx::mbarrier_init(mbarriers + i * 8, arrivals);
    ptx::fence_mbarrier_init();
  }
  ptx::cluster_barrier();
}

enum class Copy { bulk, box_2d, box_2d_policy, box_3d, box_3d_policy };

/// Block `rank` of the cluster loads piece `rank`, 1024 bytes or eight rows of them, to the blocks of mask Mask >> (4 * rank) &
/// 15: each gets it at place `rank` of its memory, which held ones. All memory goes out.
template <int Blocks, int Mask, Copy By>
MOE_DEVICE void pieces_to_all(const Arguments& args) {
  const u32 data = ptx::shared_base(), mbarrier = data + Blocks * 1024;
  const u32 rank = ptx::cluster_rank();
  fill_with_ones<32>(data, Blocks * 1024);
  make_ready<1>(mbarrier, 1);
  if (ptx::thread_index() == 0) {
    u32 expected = 0;
    for (u32 from = 0; from < Blocks; ++from) expected += (Mask >> (4 * from + rank) & 1) * 1024;
    ptx::mbarrier_arrive_expect_tx(mbarrier, expected);
    const u16 mask = static_cast<u16>(Mask >> 4 * rank & 15);
    const u32 target = data + rank * 1024;
    const int row = static_cast<int>(rank) * 8;
    const abi::TensorMap* const map = &args.maps[0];
    if (mask != 0) {
      if constexpr (By == Copy::bulk) ptx::bulk_load_multicast(target, args.input + rank * 256, 1024, mbarrier, mask);
      if constexpr (By == Copy::box_2d) ptx::tma_load_2d_multicast(target, map, mbarrier, mask, 0, row);
      if constexpr (By == Copy::box_3d) ptx::tma_load_3d_multicast(target, map, mbarrier, mask, 0, 0, static_cast<int>(rank));
      if constexpr (By == Copy::box_2d_policy) {
        ptx::tma_load_2d_multicast(target, map, mbarrier, mask, 0, row, ptx::policy_evict_last());
      }
      if constexpr (By == Copy::box_3d_policy) {
        ptx::tma_load_3d_multicast(target, map, mbarrier, mask, 0, 0, static_cast<int>(rank), ptx::policy_evict_first());
      }
    }
  }
  ptx::warp_barrier();
  ptx::mbarrier_wait(mbarrier, 0);
  put_shared<32>(args.output + ptx::block_index() * Blocks * 256, data, Blocks * 1024);
  ptx::cluster_barrier();
}

/// Block 0 loads boxes of 1024 bytes to all blocks, through a ring of two stages. A stage is free when every block has said so at
/// block 0; each sums what it sees.
template <int Blocks, int Boxes>
MOE_DEVICE void ring_for_all(const Arguments& args) {
  constexpr u32 stages = 2;
  const u32 data = ptx::shared_base(), full = data + stages * 1024, empty = full + stages * 8;
  const u32 lane = ptx::lane_index();
  if (ptx::thread_index() == 0) {
    for (u32 i = 0; i < stages; ++i) {
      ptx::mbarrier_init(full + i * 8, 1);
      ptx::mbarrier_init(empty + i * 8, Blocks);
    }
    ptx::fence_mbarrier_init();
  }
  ptx::cluster_barrier();
  if (ptx::thread_index() < 32) {
    if (lane == 0) {
      for (u32 box = 0; box < Boxes; ++box) {
        const u32 stage = box % stages, parity = box / stages & 1;
        // Every block announces its own bytes, once its last ones have been read; block 0 waits for all of them.
        if (box >= stages && ptx::cluster_rank() != 0) ptx::mbarrier_wait(full + stage * 8, parity ^ 1);
        if (ptx::cluster_rank() == 0) ptx::mbarrier_wait(empty + stage * 8, parity ^ 1);
        ptx::mbarrier_arrive_expect_tx(full + stage * 8, 1024);
        if (ptx::cluster_rank() == 0) {
          ptx::tma_load_2d_multicast(data + stage * 1024, &args.maps[0], full + stage * 8, (1 << Blocks) - 1, 0,
                                     static_cast<int>(box) * 8);
        }
      }
    }
  } else {
    Words4 sums{{0, 0, 0, 0}};
    for (u32 box = 0; box < Boxes; ++box) {
      const u32 stage = box % stages, parity = box / stages & 1;
      ptx::mbarrier_wait(full + stage * 8, parity);
      for (u32 half = 0; half < 2; ++half) {
        const Words4 words = ptx::load_shared_16(data + stage * 1024 + half * 512 + lane * 16);
        for (int i = 0; i < 4; ++i) sums.v[i] = sums.v[i] * 3 + words.v[i];
      }
      ptx::warp_barrier();
      if (lane == 0) ptx::mbarrier_arrive_cluster_relaxed(ptx::map_to_rank(empty + stage * 8, 0));
    }
    ptx::store(static_cast<void*>(args.output + (ptx::block_index() * 32 + lane) * 4), sums);
  }
  ptx::warp_barrier();
  ptx::cluster_barrier();
}

}  // namespace moe_tune::micro
