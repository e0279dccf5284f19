// Positions, barriers of a block and of a warp, votes and shuffles.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

MOE_DEVICE void positions(const Arguments& args) {
  u32* const own = args.output + (ptx::block_index() * 64 + ptx::thread_index()) * 4;
  ptx::store(own, ptx::thread_index());
  ptx::store(own + 1, ptx::block_index());
  ptx::store(own + 2, ptx::grid_size());
  ptx::store(own + 3, ptx::lane_index());
}

/// Rounds of a sum over neighbours: every round reads what other warps wrote in the one before.
template <int Threads, int Rounds>
MOE_DEVICE void block_barrier_rounds(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  int value = static_cast<int>(ptx::load_constant(args.input + t));
  for (int round = 0; round < Rounds; ++round) {
    ptx::store_shared(base + t * 4, value);
    ptx::block_barrier();
    value = value * 3 + ptx::load_shared(base + (t + 37) % Threads * 4);
    ptx::block_barrier();
  }
  ptx::store(args.output + t, static_cast<u32>(value));
}

/// Two halves of the block, each with a barrier of its own, run unequal numbers of rounds.
MOE_DEVICE void named_barriers_apart(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  const int half = t / 64;
  int value = static_cast<int>(ptx::load_constant(args.input + t));
  for (int round = 0; round < 2 + half * 3; ++round) {
    ptx::store_shared(base + t * 4, value);
    if (half == 0) {
      ptx::named_barrier<1, 64>();
    } else {
      ptx::named_barrier<15, 64>();
    }
    value += 2 * ptx::load_shared(base + (half * 64 + (t + 33) % 64) * 4);
    if (half == 0) {
      ptx::named_barrier<1, 64>();
    } else {
      ptx::named_barrier<15, 64>();
    }
  }
  ptx::store(args.output + t, static_cast<u32>(value));
}

/// One warp produces, another consumes, through one slot: `full` is arrived at by the producer, `empty` by the consumer.
template <int Rounds>
MOE_DEVICE void named_barrier_hand_over(const Arguments& args) {
  constexpr int full = 2, empty = 3;
  const u32 base = ptx::shared_base();
  const int lane = static_cast<int>(ptx::lane_index());
  if (ptx::thread_index() < 32) {
    for (int round = 0; round < Rounds; ++round) {
      if (round > 0) ptx::named_barrier<empty, 64>();
      ptx::store_shared(base + lane * 4, static_cast<int>(ptx::load_constant(args.input + round * 32 + lane)));
      ptx::named_barrier_arrive<full, 64>();
    }
  } else {
    for (int round = 0; round < Rounds; ++round) {
      ptx::named_barrier<full, 64>();
      ptx::store(args.output + round * 32 + lane, static_cast<u32>(ptx::load_shared(base + (31 - lane) * 4)));
      if (round + 1 < Rounds) ptx::named_barrier_arrive<empty, 64>();
    }
  }
}

/// Several warps arrive for one that waits.
MOE_DEVICE void named_barrier_many_arrive(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int t = static_cast<int>(ptx::thread_index());
  if (t >= 32) {
    ptx::store_shared(base + t * 4, static_cast<int>(ptx::load_constant(args.input + t)));
    ptx::named_barrier_arrive<7, 128>();
  } else {
    ptx::named_barrier<7, 128>();
    int sum = 0;
    for (int i = 32; i < 128; i += 32) sum += ptx::load_shared(base + (i + t) * 4);
    ptx::store(args.output + t, static_cast<u32>(sum));
  }
}

MOE_DEVICE void warp_barrier_rounds(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  const int lane = t % 32;
  const u32 own = ptx::shared_base() + t / 32 * 128;
  int value = static_cast<int>(ptx::load_constant(args.input + t));
  for (int round = 0; round < 4; ++round) {
    ptx::store_shared(own + lane * 4, value);
    ptx::warp_barrier();
    value = value * 5 + ptx::load_shared(own + (lane + 11) % 32 * 4);
    ptx::warp_barrier();
  }
  ptx::store(args.output + t, static_cast<u32>(value));
}

/// Bit i of an input word is what the lane votes in round i.
MOE_DEVICE void votes(const Arguments& args) {
  const int t = static_cast<int>(ptx::thread_index());
  const u32 word = ptx::load_constant(args.input + t);
  for (int i = 0; i < 32; ++i) {
    const bool vote = (word >> i & 1) != 0;
    ptx::store(args.output + (t * 32 + i) * 2, ptx::warp_ballot(vote));
    ptx::store(args.output + (t * 32 + i) * 2 + 1, static_cast<u32>(ptx::warp_any(vote)));
  }
}

/// Rows of 32 words: shuffle_up by every delta, then shuffle from every source, shuffle_xor with every mask, and one shuffle
/// whose source differs from lane to lane.
MOE_DEVICE void shuffles(const Arguments& args) {
  const int lane = static_cast<int>(ptx::lane_index());
  const u32 word = ptx::load_constant(args.input + lane);
  const int value = static_cast<int>(word);
  const float real = ptx::load_constant(reinterpret_cast<const float*>(args.input) + lane);
  for (int i = 0; i < 32; ++i) {
    ptx::store(args.output + i * 32 + lane, static_cast<u32>(ptx::shuffle_up(value, static_cast<u32>(i))));
    ptx::store(args.output + (32 + i) * 32 + lane, static_cast<u32>(ptx::shuffle(value, static_cast<u32>(i))));
    ptx::store(reinterpret_cast<float*>(args.output) + (64 + i) * 32 + lane, ptx::shuffle_xor(real, static_cast<u32>(i)));
  }
  ptx::store(args.output + 96 * 32 + lane, static_cast<u32>(ptx::shuffle(value, word % 32)));
}

}  // namespace moe_tune::micro
