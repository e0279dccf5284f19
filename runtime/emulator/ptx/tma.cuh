// Twin of templates/ptx/tma.cuh.
#pragma once

#include "abi/tensor_map.cuh"
#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void prefetch_tensor_map(const abi::TensorMap* map) { machine().tensor_prefetch(map); }

MOE_DEVICE void tma_load_2d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y) {
  machine().tensor_load({map, destination, mbarrier, 2, {x, y}, false, 0, false});
}

MOE_DEVICE void tma_load_2d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, u64) {
  tma_load_2d(destination, map, mbarrier, x, y);
}

MOE_DEVICE void tma_load_3d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z) {
  machine().tensor_load({map, destination, mbarrier, 3, {x, y, z}, false, 0, false});
}

MOE_DEVICE void tma_load_3d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z, u64) {
  tma_load_3d(destination, map, mbarrier, x, y, z);
}

MOE_DEVICE void tma_load_4d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z, int w) {
  machine().tensor_load({map, destination, mbarrier, 4, {x, y, z, w}, false, 0, false});
}

MOE_DEVICE void tma_load_4d(u32 destination, const abi::TensorMap* map, u32 mbarrier, int x, int y, int z, int w, u64) {
  tma_load_4d(destination, map, mbarrier, x, y, z, w);
}

MOE_DEVICE void tma_load_2d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y) {
  machine().tensor_load({map, destination, mbarrier, 2, {x, y}, true, cta_mask, false});
}

MOE_DEVICE void tma_load_2d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y, u64) {
  tma_load_2d_multicast(destination, map, mbarrier, cta_mask, x, y);
}

MOE_DEVICE void tma_load_3d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y,
                                      int z) {
  machine().tensor_load({map, destination, mbarrier, 3, {x, y, z}, true, cta_mask, false});
}

MOE_DEVICE void tma_load_3d_multicast(u32 destination, const abi::TensorMap* map, u32 mbarrier, u16 cta_mask, int x, int y, int z,
                                      u64) {
  tma_load_3d_multicast(destination, map, mbarrier, cta_mask, x, y, z);
}

MOE_DEVICE void tma_store_2d(const abi::TensorMap* map, u32 source, int x, int y) {
  machine().tensor_store({map, source, 0, 2, {x, y}, false, 0, false});
}

MOE_DEVICE void tma_store_3d(const abi::TensorMap* map, u32 source, int x, int y, int z) {
  machine().tensor_store({map, source, 0, 3, {x, y, z}, false, 0, false});
}

MOE_DEVICE void tma_reduce_add_2d(const abi::TensorMap* map, u32 source, int x, int y) {
  machine().tensor_store({map, source, 0, 2, {x, y}, false, 0, true});
}

MOE_DEVICE void tma_reduce_add_3d(const abi::TensorMap* map, u32 source, int x, int y, int z) {
  machine().tensor_store({map, source, 0, 3, {x, y, z}, false, 0, true});
}

}  // namespace moe_tune::ptx
