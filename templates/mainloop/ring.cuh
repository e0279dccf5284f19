// A ring of stages in shared memory that a producer fills and consumers read, with two mbarriers a stage: full (its data has
// landed) and empty (its readers are done).
// archs: sm_90 sm_90a sm_100 sm_120
//
//     producer    wait empty[s]   announce bytes at full[s]   copies
//     consumers   wait full[s]    products   ...   one k-block later: arrive at empty[s]
#pragma once

#include "ptx/mbarrier.cuh"

namespace moe_tune {

/// Where a user of a ring stands: the stage, and the parity of the phase that it waits for to be full. A producer waits for the
/// parity before: a fresh ring is empty.
template <int Stages>
struct RingPosition {
  u32 stage = 0;
  u32 parity = 0;

  MOE_DEVICE void advance() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1u;
    }
  }
  /// Past stages that somebody else reads.
  MOE_DEVICE void skip(u32 steps) {
    const u32 next = stage + steps;
    stage = next % Stages;
    parity ^= next / Stages & 1u;
  }
};

/// The mbarriers of a ring, 16 bytes a stage.
template <int Stages>
struct RingBarriers {
  static constexpr u32 bytes = Stages * 16;
  using Position = RingPosition<Stages>;

  u32 base;

  MOE_DEVICE u32 full(u32 stage) const { return base + stage * 8; }
  MOE_DEVICE u32 empty(u32 stage) const { return base + (Stages + stage) * 8; }

  /// By one thread; fence_mbarrier_init() and a barrier of the block or cluster follow.
  MOE_DEVICE void init(u32 full_arrivals, u32 empty_arrivals) const {
    for (u32 stage = 0; stage < Stages; ++stage) {
      ptx::mbarrier_init(full(stage), full_arrivals);
      ptx::mbarrier_init(empty(stage), empty_arrivals);
    }
  }
  MOE_DEVICE void wait_full(const Position& position) const { ptx::mbarrier_wait(full(position.stage), position.parity); }
  MOE_DEVICE void wait_empty(const Position& position) const { ptx::mbarrier_wait(empty(position.stage), position.parity ^ 1u); }
};

}  // namespace moe_tune
