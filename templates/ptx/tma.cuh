// TMA: boxes of a tensor that a map describes, between global and shared memory (sm_90).
// archs: sm_90 sm_90a sm_100 sm_120
//
// Called by one thread; all are asynchronous and of the async proxy. x counts elements along the innermost dimension, y and z
// along the next, for loads possibly from below zero. x times the size of an element is a multiple of 16, or the copy is an
// illegal instruction. Box size, swizzle and bounds are in the map. Elements out of bounds load as zeros; stores leave them
// alone, but see there. Shared addresses are 128-byte aligned; with a swizzle the pattern follows the absolute address and
// repeats every 1024 bytes (128B), 512 (64B) or 256 (32B), so align the stage to that. The map is a grid constant or lies in
// global memory.
#pragma once

#include "abi/tensor_map.cuh"
#include "ptx/base.cuh"

namespace moe_tune::ptx {

/// Brings a map close before its first use.
MOE_DEVICE void prefetch_tensor_map(const abi::TensorMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }

// ---- Loads. When the box has landed, its bytes - all of them, zero fill included - are completed at `mbarrier`, where somebody
// must have announced them or does later (mbarrier_arrive_expect_tx); waiting there makes the data visible. Before a stage is
// loaded again, everybody who read it has arrived at a barrier that this thread waited for. Traps: a box wholly out of bounds can
// fault when the memory before the tensor is unmapped: skip it and announce less; ordinary writes to the same shared memory want
// fence_async_shared() (ptx/fence.cuh) before. `policy`: ptx/cache_policy.cuh.

MOE_DEVICE void tma_load_2d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          destination),
      "l"(map), "r"(mbarrier), "r"(x), "r"(y)
      : "memory");
}

MOE_DEVICE void tma_load_2d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, u64 policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4}], "
      "[%2], %5;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "r"(x), "r"(y), "l"(policy)
      : "memory");
}

MOE_DEVICE void tma_load_3d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(
          destination),
      "l"(map), "r"(mbarrier), "r"(x), "r"(y), "r"(z)
      : "memory");
}

MOE_DEVICE void tma_load_3d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z, u64 policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4, %5}], "
      "[%2], %6;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "r"(x), "r"(y), "r"(z), "l"(policy)
      : "memory");
}

MOE_DEVICE void tma_load_4d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z, int w) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(
          destination),
      "l"(map), "r"(mbarrier), "r"(x), "r"(y), "r"(z), "r"(w)
      : "memory");
}

MOE_DEVICE void tma_load_4d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z, int w, u64 policy) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4, %5, "
      "%6}], [%2], %7;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "r"(x), "r"(y), "r"(z), "r"(w), "l"(policy)
      : "memory");
}

// The same to the same shared address of every block of the cluster whose bit (1 << rank) is set in `cta_mask`, the bytes
// completed at the same mbarrier address of each. Each of those blocks announces the bytes itself, and must have freed the stage.
// Compilers advise against multicast on anything but sm_90a.

MOE_DEVICE void tma_load_2d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%4, %5}], "
      "[%2], %3;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "h"(cta_mask), "r"(x), "r"(y)
      : "memory");
}

MOE_DEVICE void tma_load_2d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y,
                                      u64 policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint [%0], "
      "[%1, {%4, %5}], [%2], %3, %6;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "h"(cta_mask), "r"(x), "r"(y), "l"(policy)
      : "memory");
}

MOE_DEVICE void tma_load_3d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y,
                                      int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%4, %5, "
      "%6}], [%2], %3;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "h"(cta_mask), "r"(x), "r"(y), "r"(z)
      : "memory");
}

MOE_DEVICE void tma_load_3d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y, int z,
                                      u64 policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint [%0], "
      "[%1, {%4, %5, %6}], [%2], %3, %7;" ::"r"(destination),
      "l"(map), "r"(mbarrier), "h"(cta_mask), "r"(x), "r"(y), "r"(z), "l"(policy)
      : "memory");
}

// ---- Stores and reductions. They read what is visible to the async proxy: every thread that wrote to shared memory executes
// fence_async_shared(), then a barrier with this thread. Completion is by bulk groups of this thread: bulk_commit(), then
// bulk_wait_read() before the shared memory is written again, bulk_wait() before another kernel's or block's read is allowed
// (ptx/bulk_copy.cuh). Coordinates are not negative (an illegal instruction on an H200), and a row that ends within 16 bytes of
// the tensor is clipped at the next multiple of 16: the elements up to there are written too.

MOE_DEVICE void tma_store_2d(const abi::TensorMap* map, u32 source, int x, int y) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map), "r"(source), "r"(x),
               "r"(y)
               : "memory");
}

MOE_DEVICE void tma_store_3d(const abi::TensorMap* map, u32 source, int x, int y, int z) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map), "r"(source),
               "r"(x), "r"(y), "r"(z)
               : "memory");
}

// Add to what stands in the tensor, element by element in the tensor's dtype; each addition is atomic and relaxed at device
// scope.

MOE_DEVICE void tma_reduce_add_2d(const abi::TensorMap* map, u32 source, int x, int y) {
  asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
               "r"(source), "r"(x), "r"(y)
               : "memory");
}

MOE_DEVICE void tma_reduce_add_3d(const abi::TensorMap* map, u32 source, int x, int y, int z) {
  asm volatile("cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
               "r"(source), "r"(x), "r"(y), "r"(z)
               : "memory");
}

}  // namespace moe_tune::ptx
