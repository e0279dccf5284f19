// Proxy fences: between ordinary accesses (the generic proxy) and those of TMA, bulk copies and wgmma (the async proxy) (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

// Each orders the calling thread's accesses, both those that it made and those that it knows of through a barrier. So the writing
// thread fences and then arrives at a barrier, or the reading thread waits at the barrier and then fences. Not needed after
// waiting at an mbarrier for the bytes of an asynchronous copy: completing them orders the copy's writes.

/// Between generic and async accesses to this block's shared memory.
MOE_DEVICE void fence_async_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Between generic and async accesses to global memory: a writer of flags executes it between bulk_wait<0>() and the release of
/// the flag, a reader between the acquire of the flag and its bulk loads.
MOE_DEVICE void fence_async_global() { asm volatile("fence.proxy.async.global;" ::: "memory"); }

/// Between generic and async accesses to all memory.
MOE_DEVICE void fence_async() { asm volatile("fence.proxy.async;" ::: "memory"); }

}  // namespace moe_tune::ptx
