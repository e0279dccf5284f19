// cp.async.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "arguments.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

MOE_DEVICE u64 address_of(const void* pointer) { return reinterpret_cast<u64>(pointer); }

/// Thread t of 64 copies the 16 bytes of thread 63 - t through shared memory that held ones. A source is given as its address
/// less Offset; every third one is not valid, and no address at all.
template <int Offset>
MOE_DEVICE void copy_with_offset(const Arguments& args) {
  const u32 own = ptx::shared_base() + ptx::thread_index() * 16;
  ptx::store_shared(own, Words4{{~0u, ~0u, ~0u, ~0u}});
  ptx::block_barrier();
  const bool valid = ptx::thread_index() % 3 != 2;
  const u64 source = valid ? address_of(reinterpret_cast<const char*>(args.input + (63 - ptx::thread_index()) * 4) - Offset) : 16;
  ptx::cp_async_16<Offset>(own, source, valid);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  ptx::block_barrier();
  const u32 other = ptx::thread_index() ^ 9;
  ptx::store(static_cast<void*>(args.output + other * 4), ptx::load_shared_16(ptx::shared_base() + other * 16));
}

/// A ring of Stages pieces of 512 bytes, of which Stages - 1 are in flight: one warp, each lane reads another's 16 bytes. Piece i
/// is added to the sums i + 1 times.
template <int Stages, int Pieces>
MOE_DEVICE void ring(const Arguments& args) {
  const u32 base = ptx::shared_base();
  const int lane = static_cast<int>(ptx::lane_index());
  const auto issue = [&](int piece) {
    if (piece < Pieces) {
      ptx::cp_async_16<0>(base + piece % Stages * 512 + lane * 16, address_of(args.input + (piece * 32 + lane) * 4), true);
    }
    ptx::cp_async_commit();
  };
  for (int piece = 0; piece < Stages - 1; ++piece) issue(piece);
  Words4 sums{{0, 0, 0, 0}};
  for (int piece = 0; piece < Pieces; ++piece) {
    ptx::cp_async_wait<Stages - 2>();
    ptx::warp_barrier();
    const Words4 words = ptx::load_shared_16(base + piece % Stages * 512 + (31 - lane) * 16);
    for (int i = 0; i < 4; ++i) sums.v[i] += words.v[i] * (piece + 1);
    ptx::warp_barrier();
    issue(piece + Stages - 1);
  }
  ptx::store(static_cast<void*>(args.output + lane * 4), sums);
}

}  // namespace moe_tune::micro
