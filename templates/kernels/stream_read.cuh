// Reads memory as fast as the card can and writes nothing: evicts the L2 between samples without leaving dirty lines, and is the
// streaming read that memory-bound kernels are compared with.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A thread keeps 8 loads of 16 bytes in flight: with 1024 threads, 128 KiB per SM.
#pragma once

#include "abi/utilities.cuh"
#include "ptx/global.cuh"

namespace moe_tune {

struct StreamRead {
  static constexpr int loads = 8;

  /// Reads `chunks` times 16 bytes. `sink` is never read; that it might be written keeps the loads alive.
  static MOE_DEVICE void run(const Words4* source, i64 chunks, Words4* sink) {
    const i64 step = static_cast<i64>(ptx::grid_size()) * abi::stream_threads;
    Words4 folded = {};
    i64 i = static_cast<i64>(ptx::block_index()) * abi::stream_threads + ptx::thread_index();
    for (; i + (loads - 1) * step < chunks; i += loads * step) {
      Words4 values[loads];
      MOE_UNROLL
      for (int j = 0; j < loads; ++j) values[j] = ptx::load_streaming(source + i + j * step);
      MOE_UNROLL
      for (int j = 0; j < loads; ++j) fold(folded, values[j]);
    }
    for (; i < chunks; i += step) fold(folded, ptx::load_streaming(source + i));
    if ((folded.v[0] ^ folded.v[1] ^ folded.v[2] ^ folded.v[3]) == 0x5bd1e995u) ptx::store(static_cast<void*>(sink), folded);
  }

 private:
  static MOE_DEVICE void fold(Words4& folded, const Words4& value) {
    MOE_UNROLL
    for (int j = 0; j < 4; ++j) folded.v[j] ^= value.v[j];
  }
};

}  // namespace moe_tune
