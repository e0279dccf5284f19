// What every template stands on: function qualifiers, fixed-width integers, and the position of a thread in its grid.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#define MOE_DEVICE __device__ __forceinline__
#define MOE_KERNEL(threads, min_blocks_per_sm) extern "C" __global__ void __launch_bounds__(threads, min_blocks_per_sm)
#define MOE_GRID_CONSTANT __grid_constant__
#define MOE_UNROLL _Pragma("unroll")
#define MOE_NO_UNROLL _Pragma("unroll 1")

namespace moe_tune {

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;
static_assert(sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8 && sizeof(void*) == 8);

/// Four 32-bit words that move as one 16-byte access.
struct alignas(16) Words4 {
  u32 v[4];
};

}  // namespace moe_tune

namespace moe_tune::ptx {

MOE_DEVICE u32 thread_index() { return threadIdx.x; }
MOE_DEVICE u32 block_index() { return blockIdx.x; }
MOE_DEVICE u32 grid_size() { return gridDim.x; }
MOE_DEVICE u32 lane_index() { return threadIdx.x & 31u; }

}  // namespace moe_tune::ptx
