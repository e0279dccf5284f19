// Tiles handed out by a counter in global memory: one thread of each block draws them and passes them on through four slots in
// shared memory; -1 ends. The last block sets the counters back, so that the kernel can be launched again as it is.
// archs: sm_90a
//
// A tile is 128 words, y = 3 x + 1; the last one ends at word M. Warps 0 to 3 compute, lane 0 of warp 4 draws. A slot is full
// when it has been written, and empty when all four warps have read it.
#pragma once

#include "args.cuh"
#include "ptx/atomics.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::study {

inline constexpr u32 slots = 4;
inline constexpr u32 tile_words = 128;
inline constexpr u32 workers = 4;  // warps

/// Shared memory: [full mbarriers][empty mbarriers][slots].
struct Slots {
  u32 base;
  MOE_DEVICE u32 full(u32 slot) const { return base + slot * 8; }
  MOE_DEVICE u32 empty(u32 slot) const { return base + (slots + slot) * 8; }
  MOE_DEVICE u32 value(u32 slot) const { return base + slots * 16 + slot * 4; }
};

MOE_DEVICE void draw_tiles(const PipelineArgs& args, const Slots& queue) {
  const u32 tiles = (static_cast<u32>(args.M) + tile_words - 1) / tile_words;
  bool more = true;
  for (u32 turn = 0; more; ++turn) {
    const u32 slot = turn % slots;
    const u32 drawn = ptx::atomic_add_relaxed_gpu(args.counters, 1);
    more = drawn < tiles;
    ptx::mbarrier_wait(queue.empty(slot), (turn / slots & 1u) ^ 1u);
    ptx::store_shared(queue.value(slot), more ? static_cast<int>(drawn) : -1);
    ptx::mbarrier_arrive(queue.full(slot));
  }
  if (ptx::atomic_add_acq_rel_gpu(args.counters + 1, 1) == ptx::grid_size() - 1) {
    ptx::store_relaxed_gpu(args.counters, 0);
    ptx::store_relaxed_gpu(args.counters + 1, 0);
  }
}

MOE_DEVICE void compute_tiles(const PipelineArgs& args, const Slots& queue) {
  for (u32 turn = 0;; ++turn) {
    const u32 slot = turn % slots;
    ptx::mbarrier_wait(queue.full(slot), turn / slots & 1u);
    const int tile = ptx::load_shared(queue.value(slot));
    ptx::warp_barrier();  // all lanes have read
    if (ptx::lane_index() == 0) ptx::mbarrier_arrive(queue.empty(slot));
    if (tile < 0) return;
    const u32 word = static_cast<u32>(tile) * tile_words + ptx::thread_index();
    if (word >= static_cast<u32>(args.M)) continue;
    ptx::store(static_cast<u32*>(args.y) + word, ptx::load_constant(static_cast<const u32*>(args.x) + word) * 3u + 1u);
  }
}

}  // namespace moe_tune::study

MOE_KERNEL(160, 1) pipeline(const MOE_GRID_CONSTANT moe_tune::study::PipelineArgs args) {
  using namespace moe_tune;
  const study::Slots queue{ptx::shared_base()};
  if (ptx::thread_index() == 0) {
    for (u32 slot = 0; slot < study::slots; ++slot) {
      ptx::mbarrier_init(queue.full(slot), 1);
      ptx::mbarrier_init(queue.empty(slot), study::workers);
    }
  }
  ptx::block_barrier();
  if (ptx::thread_index() == 32 * study::workers) {
    study::draw_tiles(args, queue);
  } else if (ptx::thread_index() < 32 * study::workers) {
    study::compute_tiles(args, queue);
  }
}
