// Twin of templates/ptx/sync.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void block_barrier() { machine().barrier(0, 0, true); }

template <int Id, int Threads>
MOE_DEVICE void named_barrier() {
  static_assert(0 < Id && Id < 16 && Threads % 32 == 0);
  machine().barrier(Id, Threads, true);
}

template <int Id, int Threads>
MOE_DEVICE void named_barrier_arrive() {
  static_assert(0 < Id && Id < 16 && Threads % 32 == 0);
  machine().barrier(Id, Threads, false);
}

MOE_DEVICE void warp_barrier() { machine().warp_barrier(); }
MOE_DEVICE u32 warp_ballot(bool predicate) { return machine().ballot(predicate); }
MOE_DEVICE bool warp_any(bool predicate) { return machine().ballot(predicate) != 0; }

MOE_DEVICE int shuffle_up(int value, u32 delta) {
  return static_cast<int>(machine().shuffle(emulator::Shuffle::up, static_cast<u32>(value), delta));
}

MOE_DEVICE int shuffle(int value, u32 source) {
  return static_cast<int>(machine().shuffle(emulator::Shuffle::index, static_cast<u32>(value), source));
}

MOE_DEVICE float shuffle_xor(float value, u32 mask) {
  return __builtin_bit_cast(float, machine().shuffle(emulator::Shuffle::exclusive_or, __builtin_bit_cast(u32, value), mask));
}

}  // namespace moe_tune::ptx
