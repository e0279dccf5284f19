// Bulk copies without a tensor map, and the fences and groups around them.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/atomics.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/cache_policy.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "setup.cuh"

namespace moe_tune::micro {

/// Bytes to shared memory, Offset bytes into it, as a whole; words before and after keep what they had. All goes out.
template <int Bytes, int Offset, bool Policy>
MOE_DEVICE void load_bytes(const Arguments& args) {
  constexpr int room = Bytes + 64;
  const u32 data = ptx::shared_base(), mbarrier = data + room;
  const int t = static_cast<int>(ptx::thread_index());
  fill_with_ones<32>(data, room);
  make_mbarriers<1>(mbarrier, 1);
  if (t == 0) {
    ptx::mbarrier_arrive_expect_tx(mbarrier, Bytes);
    if constexpr (Policy) {
      ptx::bulk_load(data + Offset, args.input + 4, Bytes, mbarrier, ptx::policy_evict_first());
    } else {
      ptx::bulk_load(data + Offset, args.input + 4, Bytes, mbarrier);
    }
  }
  ptx::mbarrier_wait(mbarrier, 0);
  put_shared<32>(args.output, data, room);
}

enum class Fence { shared, all };

/// Threads write shared memory; one stores Bytes of it, Offset bytes into the output.
template <int Bytes, int Offset, bool Policy, Fence By>
MOE_DEVICE void store_bytes(const Arguments& args) {
  const u32 data = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  for (int i = t; i < Bytes / 4; i += 32) ptx::store_shared(data + i * 4, static_cast<int>(ptx::load_constant(args.input + i)));
  if constexpr (By == Fence::shared) {
    ptx::fence_async_shared();
  } else {
    ptx::fence_async();
  }
  ptx::block_barrier();
  if (t != 0) return;
  if constexpr (Policy) {
    ptx::bulk_store(args.output + Offset / 4, data, Bytes, ptx::policy_evict_normal());
  } else {
    ptx::bulk_store(args.output + Offset / 4, data, Bytes);
  }
  ptx::bulk_commit();
  ptx::bulk_wait<0>();
}

/// One stage is filled, stored and filled again as soon as its bytes have been read, with a group for each; Pending groups may
/// still be reading, which takes Pending + 1 stages.
template <int Pending, int Pieces>
MOE_DEVICE void stages_stored(const Arguments& args) {
  const u32 data = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  for (int piece = 0; piece < Pieces; ++piece) {
    const u32 stage = data + piece % (Pending + 1) * 512;
    if (t == 0) ptx::bulk_wait_read<Pending>();
    ptx::block_barrier();
    ptx::store_shared(stage + t * 16, ptx::load_constant_16(args.input + piece * 128 + (31 - t) * 4));
    ptx::fence_async_shared();
    ptx::block_barrier();
    if (t == 0) {
      ptx::bulk_store(args.output + piece * 128, stage, 512);
      ptx::bulk_commit();
    }
  }
  if (t == 0) ptx::bulk_wait_read<0>();
}

/// Global data goes from block 0 to block 1, written and read by bulk copies or by ordinary accesses. Output: flag, padding to 16
/// bytes, 128 words in between, 128 words of block 1.
template <bool BulkWrites, bool BulkReads, Fence By>
MOE_DEVICE void pass_on_globally(const Arguments& args) {
  const u32 data = ptx::shared_base(), mbarrier = data + 512;
  const int t = static_cast<int>(ptx::thread_index());
  u32* const between = args.output + 4;
  const auto fence = [] {
    if constexpr (By == Fence::shared) {
      ptx::fence_async_global();
    } else {
      ptx::fence_async();
    }
  };
  if (ptx::block_index() == 0) {
    const Words4 words = ptx::load_constant_16(args.input + t * 4);
    if constexpr (BulkWrites) {
      ptx::store_shared(data + t * 16, words);
      ptx::fence_async_shared();
      ptx::block_barrier();
      if (t == 0) {
        ptx::bulk_store(between, data, 512);
        ptx::bulk_commit();
        ptx::bulk_wait<0>();
        fence();
      }
    } else {
      ptx::store(static_cast<void*>(between + t * 4), words);
      ptx::block_barrier();
    }
    if (t == 0) ptx::store_release_gpu(args.output, 1);
    return;
  }
  if (t == 0) {
    ptx::mbarrier_init(mbarrier, 1);
    ptx::fence_mbarrier_init();
    while (ptx::load_acquire_gpu(args.output) == 0) {
    }
    if constexpr (BulkReads) {
      fence();
      ptx::mbarrier_arrive_expect_tx(mbarrier, 512);
      ptx::bulk_load(data, between, 512, mbarrier);
    }
  }
  ptx::block_barrier();
  Words4 words;
  if constexpr (BulkReads) {
    ptx::mbarrier_wait(mbarrier, 0);
    words = ptx::load_shared_16(data + t * 16);
  } else {
    words = ptx::load(reinterpret_cast<const Words4*>(between) + t);
  }
  ptx::store(static_cast<void*>(args.output + 132 + (31 - t) * 4), words);
}

/// Every block adds its Floats numbers to the output.
template <int Floats>
MOE_DEVICE void add_floats(const Arguments& args) {
  const u32 data = ptx::shared_base();
  const u32 t = ptx::thread_index();
  for (u32 i = t; i < Floats; i += 32) {
    ptx::store_shared(data + i * 4,
                      ptx::load_constant(reinterpret_cast<const float*>(args.input) + ptx::block_index() * Floats + i));
  }
  ptx::fence_async_shared();
  ptx::block_barrier();
  if (t != 0) return;
  ptx::bulk_reduce_add_f32(args.output, data, Floats * 4);
  ptx::bulk_commit();
  ptx::bulk_wait_read<0>();
}

}  // namespace moe_tune::micro
