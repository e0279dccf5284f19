// mbarriers of one block: phases, arrivals, announced bytes, rings.
// archs: sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/bulk_copy.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/global.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "setup.cuh"

namespace moe_tune::micro {

enum class Wait { wait, test, attempt, cluster };

template <Wait By>
MOE_DEVICE void wait_by(u32 mbarrier, u32 parity) {
  if constexpr (By == Wait::wait) ptx::mbarrier_wait(mbarrier, parity);
  if constexpr (By == Wait::cluster) ptx::mbarrier_wait_cluster(mbarrier, parity);
  if constexpr (By == Wait::test) {
    while (!ptx::mbarrier_test_wait(mbarrier, parity)) {
    }
  }
  if constexpr (By == Wait::attempt) {
    while (!ptx::mbarrier_try_wait(mbarrier, parity)) {
    }
  }
}

/// Rounds in which every thread reads what another wrote before it arrived; two barriers, one after the writes and one after the
/// reads.
template <int Threads, int Rounds, Wait By>
MOE_DEVICE void phases(const Arguments& args) {
  const u32 written = ptx::shared_base(), read = written + 8, words = written + 16;
  make_mbarriers<2>(written, Threads);
  const int t = static_cast<int>(ptx::thread_index());
  int value = static_cast<int>(ptx::load_constant(args.input + t));
  for (int round = 0; round < Rounds; ++round) {
    ptx::store_shared(words + t * 4, value);
    ptx::mbarrier_arrive(written);
    wait_by<By>(written, round & 1);
    value = value * 3 + ptx::load_shared(words + (t + 37) % Threads * 4);
    ptx::mbarrier_arrive(read);
    wait_by<By>(read, round & 1);
  }
  ptx::store(args.output + t, static_cast<u32>(value));
}

/// Whether waits for either parity would return: at a fresh barrier of two arrivals, after one, after two, then one phase later.
MOE_DEVICE void parities(const Arguments& args) {
  if (ptx::thread_index() != 0) return;
  const u32 mbarrier = ptx::shared_base();
  ptx::mbarrier_init(mbarrier, 2);
  for (int i = 0; i < 5; ++i) {
    ptx::store(args.output + i * 3, static_cast<u32>(ptx::mbarrier_test_wait(mbarrier, 0)));
    ptx::store(args.output + i * 3 + 1, static_cast<u32>(ptx::mbarrier_test_wait(mbarrier, 1)));
    // What returns at once, of those that may sleep.
    ptx::store(args.output + i * 3 + 2, static_cast<u32>(ptx::mbarrier_try_wait(mbarrier, i < 2 || i > 3 ? 1 : 0)));
    ptx::mbarrier_arrive(mbarrier);
  }
}

/// The memory of a barrier holds data after the barrier's life, and then another barrier.
MOE_DEVICE void lives_one_after_another(const Arguments& args) {
  const u32 mbarrier = ptx::shared_base();
  const u32 t = ptx::thread_index();
  for (int life = 0; life < 3; ++life) {
    if (t == 0) ptx::mbarrier_init(mbarrier, 32);
    ptx::block_barrier();
    ptx::mbarrier_arrive(mbarrier);
    ptx::mbarrier_wait(mbarrier, 0);
    ptx::block_barrier();
    if (t == 0) {
      ptx::mbarrier_invalidate(mbarrier);
      ptx::store_shared(mbarrier, static_cast<int>(ptx::load_constant(args.input + life)));
    }
    ptx::block_barrier();
    ptx::store(args.output + life * 32 + t, static_cast<u32>(ptx::load_shared(mbarrier)) + t);
    ptx::block_barrier();
  }
}

enum class Announce { before, after, in_parts, twice };

/// Two bulk loads of 256 bytes complete one phase, whenever and in however many parts they are announced.
template <Announce When, Wait By>
MOE_DEVICE void bytes_announced(const Arguments& args) {
  const u32 data = ptx::shared_base(), mbarrier = data + 512;
  make_mbarriers<1>(mbarrier, When == Announce::twice ? 2 : 1);
  const u32 t = ptx::thread_index();
  if (t == 0) {
    if constexpr (When == Announce::before) ptx::mbarrier_arrive_expect_tx(mbarrier, 512);
    if constexpr (When == Announce::in_parts) ptx::mbarrier_expect_tx(mbarrier, 256);
    if constexpr (When == Announce::twice) ptx::mbarrier_arrive_expect_tx(mbarrier, 256);
    ptx::bulk_load(data, args.input, 256, mbarrier);
    ptx::bulk_load(data + 256, args.input + 64, 256, mbarrier);
    if constexpr (When == Announce::after) ptx::mbarrier_arrive_expect_tx(mbarrier, 512);
    if constexpr (When == Announce::twice) ptx::mbarrier_arrive_expect_tx(mbarrier, 256);
    if constexpr (When == Announce::in_parts) {
      ptx::mbarrier_expect_tx(mbarrier, 256);
      ptx::mbarrier_arrive(mbarrier);
    }
  }
  wait_by<By>(mbarrier, 0);
  ptx::store(static_cast<void*>(args.output + t * 4), ptx::load_shared_16(data + t * 16));
}

/// Thread 0 of warp 0 loads pieces of 512 bytes into a ring, warps 1 and 2 add them up: `full` counts the producer and the bytes,
/// `empty` a lane of each consumer. Output: 32 x 4 sums of each consumer.
template <int Stages, int Pieces>
MOE_DEVICE void ring_of_bulk_loads(const Arguments& args) {
  const u32 data = ptx::shared_base(), full = data + Stages * 512, empty = full + Stages * 8;
  make_mbarriers<Stages>(full, 1);
  make_mbarriers<Stages>(empty, 2);
  const u32 warp = ptx::thread_index() / 32, lane = ptx::lane_index();
  if (warp == 0) {
    if (lane != 0) return;
    for (int piece = 0; piece < Pieces; ++piece) {
      const u32 stage = piece % Stages, parity = piece / Stages & 1;
      ptx::mbarrier_wait(empty + stage * 8, parity ^ 1);
      ptx::mbarrier_arrive_expect_tx(full + stage * 8, 512);
      ptx::bulk_load(data + stage * 512, args.input + piece * 128, 512, full + stage * 8);
    }
    return;
  }
  Words4 sums{{0, 0, 0, 0}};
  for (int piece = 0; piece < Pieces; ++piece) {
    const u32 stage = piece % Stages, parity = piece / Stages & 1;
    ptx::mbarrier_wait(full + stage * 8, parity);
    const Words4 words = ptx::load_shared_16(data + stage * 512 + lane * 16);
    for (int i = 0; i < 4; ++i) sums.v[i] = sums.v[i] * warp + words.v[i];
    ptx::warp_barrier();
    if (lane == 0) ptx::mbarrier_arrive(empty + stage * 8);
  }
  ptx::store(static_cast<void*>(args.output + (warp - 1) * 128 + lane * 4), sums);
}

/// Copies of 64 threads arrive by themselves; one more arrival is a thread's. Two phases.
MOE_DEVICE void copies_arrive(const Arguments& args) {
  const u32 data = ptx::shared_base(), mbarrier = data + 2048;
  make_mbarriers<1>(mbarrier, 65);
  const u32 t = ptx::thread_index();
  for (u32 phase = 0; phase < 2; ++phase) {
    const u64 source = reinterpret_cast<u64>(args.input + phase * 512 + t * 4);
    ptx::cp_async_16<0>(data + t * 16, source, true);
    ptx::cp_async_16<1024>(data + 1024 + t * 16, source, true);
    ptx::cp_async_mbarrier_arrive_noinc(mbarrier);
    if (t == 40) ptx::mbarrier_arrive(mbarrier);
    ptx::mbarrier_wait(mbarrier, phase);
    u32* const out = args.output + phase * 512 + t * 4;
    ptx::store(static_cast<void*>(out), ptx::load_shared_16(data + (63 - t) * 16));
    ptx::store(static_cast<void*>(out + 256), ptx::load_shared_16(data + 1024 + (t ^ 33) * 16));
    ptx::block_barrier();
  }
}

}  // namespace moe_tune::micro
