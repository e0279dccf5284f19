// Twin of templates/ptx/base.cuh.
#pragma once

#include "ptx/machine.cuh"

#define MOE_DEVICE inline
#define MOE_KERNEL(threads, min_blocks_per_sm) extern "C" __attribute__((visibility("default"))) void
#define MOE_GRID_CONSTANT
#define MOE_UNROLL
#define MOE_NO_UNROLL

namespace moe_tune {

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

struct alignas(16) Words4 {
  u32 v[4];
};

}  // namespace moe_tune

extern "C" {
/// The device that runs the kernel, set by whoever loads it.
__attribute__((visibility("default"))) moe_tune::emulator::Machine* moe_tune_machine = nullptr;
}

namespace moe_tune::ptx {

inline emulator::Machine& machine() { return *moe_tune_machine; }

MOE_DEVICE u32 thread_index() { return machine().position->thread; }
MOE_DEVICE u32 block_index() { return machine().position->block; }
MOE_DEVICE u32 grid_size() { return machine().position->grid; }
MOE_DEVICE u32 lane_index() { return machine().position->thread & 31u; }

}  // namespace moe_tune::ptx
