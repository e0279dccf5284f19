// Clusters: positions, barriers, shared memory of other blocks, arrivals at their mbarriers.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/cluster.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "setup.cuh"

namespace moe_tune::micro {

// One warp per block. Rows of 32 words, in the order of blocks.

MOE_DEVICE u32* own_row(const Arguments& args) { return args.output + ptx::block_index() * 32 + ptx::lane_index(); }
MOE_DEVICE u32 own_input(const Arguments& args) {
  return ptx::load_constant(args.input + ptx::block_index() * 32 + ptx::lane_index());
}

MOE_DEVICE void cluster_positions(const Arguments& args) {
  u32* const own = args.output + (ptx::block_index() * 32 + ptx::thread_index()) * 4;
  ptx::store(own, ptx::cluster_rank());
  ptx::store(own + 1, ptx::cluster_size());
  ptx::store(own + 2, ptx::cluster_index());
  ptx::store(own + 3, ptx::cluster_count());
}

/// Stores to the next block, then loads what the one before that got.
template <int Blocks>
MOE_DEVICE void words_of_neighbours(const Arguments& args) {
  const u32 word = ptx::shared_base() + ptx::lane_index() * 4;
  const u32 rank = ptx::cluster_rank();
  ptx::cluster_barrier();  // all blocks have started
  ptx::store_cluster(ptx::map_to_rank(word, (rank + 1) % Blocks), static_cast<int>(own_input(args)));
  ptx::cluster_barrier();
  const int own = ptx::load_shared(word);
  const int other = ptx::load_cluster(ptx::map_to_rank(word, (rank + Blocks - 1) % Blocks));
  ptx::store(own_row(args), static_cast<u32>(own * 3 + other));
  ptx::cluster_barrier();  // nobody ends while its memory is read
}

/// Arrives, does something else, waits; rounds on one word.
template <int Blocks>
MOE_DEVICE void split_barriers(const Arguments& args) {
  const u32 word = ptx::shared_base() + ptx::lane_index() * 4;
  u32 value = own_input(args);
  for (int round = 0; round < 3; ++round) {
    ptx::store_shared(word, static_cast<int>(value));
    ptx::cluster_arrive();
    value *= 7;
    ptx::cluster_wait();
    for (u32 rank = 0; rank < Blocks; ++rank) value += static_cast<u32>(ptx::load_cluster(ptx::map_to_rank(word, rank)));
    ptx::cluster_barrier();
  }
  ptx::store(own_row(args), value);
}

/// As make_mbarriers(), for the whole cluster; the arrival is relaxed because the fence has released.
template <int Count>
MOE_DEVICE void make_cluster_mbarriers(u32 first, u32 arrivals) {
  if (ptx::thread_index() == 0) {
    for (int i = 0; i < Count; ++i) ptx::mbarrier_init(first + i * 8, arrivals);
    ptx::fence_mbarrier_init();
  }
  ptx::warp_barrier();
  ptx::cluster_arrive_relaxed();
  ptx::cluster_wait();
}

/// Every lane of every block stores a word to its place in every block and arrives there; whoever has waited sums its column. A
/// second barrier, at which all arrive that have read, guards the next round.
template <int Blocks>
MOE_DEVICE void remote_arrivals(const Arguments& args) {
  const u32 written = ptx::shared_base(), read = written + 8, words = written + 16;
  const u32 own = words + ptx::lane_index() * 4;
  make_cluster_mbarriers<2>(written, Blocks * 32);
  u32 value = own_input(args);
  for (u32 round = 0; round < 3; ++round) {
    for (u32 rank = 0; rank < Blocks; ++rank) {
      ptx::store_cluster(ptx::map_to_rank(own + ptx::cluster_rank() * 128, rank), static_cast<int>(value + rank));
      ptx::mbarrier_arrive_cluster(ptx::map_to_rank(written, rank));
    }
    ptx::mbarrier_wait_cluster(written, round & 1);
    for (u32 rank = 0; rank < Blocks; ++rank) value = value * 3 + static_cast<u32>(ptx::load_shared(own + rank * 128));
    for (u32 rank = 0; rank < Blocks; ++rank) ptx::mbarrier_arrive_cluster(ptx::map_to_rank(read, rank));
    ptx::mbarrier_wait_cluster(read, round & 1);
  }
  ptx::store(own_row(args), value);
  ptx::cluster_barrier();
}

/// Lanes of all blocks arrive at block 0, which has waited for nothing else when it reads its clock of phases.
template <int Blocks>
MOE_DEVICE void relaxed_arrivals(const Arguments& args) {
  const u32 mbarrier = ptx::shared_base();
  make_cluster_mbarriers<1>(mbarrier, Blocks * 32);
  for (u32 phase = 0; phase < 3; ++phase) {
    ptx::mbarrier_arrive_cluster_relaxed(ptx::map_to_rank(mbarrier, 0));
    if (ptx::cluster_rank() == 0) ptx::mbarrier_wait(mbarrier, phase & 1);
    ptx::cluster_barrier();
  }
  const bool third = ptx::cluster_rank() != 0 || ptx::mbarrier_test_wait(mbarrier, 0);
  ptx::store(own_row(args), own_input(args) + static_cast<u32>(third));
  ptx::cluster_barrier();
}

/// Every lane stores Words words asynchronously to the next block, whose mbarrier this block has told what comes.
template <int Blocks, int Words>
MOE_DEVICE void asynchronous_stores(const Arguments& args) {
  const u32 mbarrier = ptx::shared_base(), words = mbarrier + 16;
  const u32 next = (ptx::cluster_rank() + 1) % Blocks;
  const u32 lane = ptx::lane_index();
  make_cluster_mbarriers<1>(mbarrier, 1);
  const u32 remote = ptx::map_to_rank(mbarrier, next);
  for (u32 phase = 0; phase < 2; ++phase) {
    if (lane == 0) ptx::mbarrier_arrive_expect_tx_cluster(remote, 32 * Words * 4);
    const u32 value = own_input(args) + phase;
    const u32 target = ptx::map_to_rank(words + lane * Words * 4, next);
    if constexpr (Words == 1) {
      ptx::st_async(target, value, remote);
    } else {
      const u32 values[4] = {value, value * 3, value * 5, value * 7};
      ptx::st_async_x4(target, values, remote);
    }
    ptx::mbarrier_wait(mbarrier, phase);
    u32 sum = 0;
    for (int i = 0; i < Words; ++i) sum = sum * 11 + static_cast<u32>(ptx::load_shared(words + lane * Words * 4 + i * 4));
    ptx::store(own_row(args) + phase * ptx::grid_size() * 32, sum);
    ptx::cluster_barrier();
  }
}

/// 512 bytes of each block go to the one before it.
template <int Blocks>
MOE_DEVICE void bulk_copies_between_blocks(const Arguments& args) {
  const u32 source = ptx::shared_base(), target = source + 512, mbarrier = target + 512;
  fill_from<32>(source, args.input + ptx::block_index() * 128, 512);
  make_cluster_mbarriers<1>(mbarrier, 1);
  if (ptx::thread_index() == 0) {
    const u32 before = (ptx::cluster_rank() + Blocks - 1) % Blocks;
    ptx::mbarrier_arrive_expect_tx(mbarrier, 512);
    ptx::bulk_copy_to_cluster(ptx::map_to_rank(target, before), source, 512, ptx::map_to_rank(mbarrier, before));
  }
  ptx::mbarrier_wait(mbarrier, 0);
  put_shared<32>(args.output + ptx::block_index() * 128, target, 512);
  ptx::cluster_barrier();
}

}  // namespace moe_tune::micro
