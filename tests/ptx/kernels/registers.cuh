// setmaxnreg: registers go from one warpgroup to two others.
// archs: sm_90a
#pragma once

#include "arguments.cuh"
#include "ptx/global.cuh"
#include "ptx/registers.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"

namespace moe_tune::micro {

/// Values enough to fill the registers that a thread is given, mixed so that each depends on all.
template <int Count>
MOE_DEVICE u32 mixed(const u32* input, u32 start) {
  u32 values[Count];
  MOE_UNROLL
  for (int i = 0; i < Count; ++i) values[i] = ptx::load(input + i) + start;
  MOE_NO_UNROLL
  for (int round = 0; round < 3; ++round) {
    MOE_UNROLL
    for (int i = 0; i < Count; ++i) values[i] = values[i] * 3 + (values[(i + 1) % Count] ^ values[(i + 7) % Count]);
  }
  u32 sum = 0;
  MOE_UNROLL
  for (int i = 0; i < Count; ++i) sum = sum * 5 + values[i];
  return sum;
}

/// Warpgroup 0 gives registers up and hands words over, warpgroups 1 and 2 take them.
template <int Fewer, int More>
MOE_DEVICE void specialised_warpgroups(const Arguments& args) {
  const u32 t = ptx::thread_index();
  const u32 word = ptx::load_constant(args.input + 200 + t);  // must live on
  if (t < 128) {
    ptx::decrease_registers<Fewer>();
    ptx::store_shared(ptx::shared_base() + t * 4, static_cast<int>(t * 7));
    ptx::named_barrier_arrive<1, 384>();
    ptx::store(args.output + t, mixed<8>(args.input, word));
  } else {
    ptx::increase_registers<More>();
    ptx::named_barrier<1, 384>();
    const u32 handed = static_cast<u32>(ptx::load_shared(ptx::shared_base() + t % 128 * 4));
    ptx::store(args.output + t, mixed<160>(args.input, word + handed));
  }
}

/// A count that a warpgroup has already is kept, and registers may be given back. Between two changes the warps of a warpgroup
/// meet.
MOE_DEVICE void give_and_take(const Arguments& args) {
  const u32 t = ptx::thread_index();
  const u32 word = ptx::load_constant(args.input + 200 + t);
  ptx::decrease_registers<128>();
  ptx::block_barrier();
  ptx::decrease_registers<128>();
  ptx::block_barrier();
  ptx::increase_registers<128>();
  ptx::block_barrier();
  if (t < 128) {
    ptx::decrease_registers<64>();
    ptx::named_barrier<1, 128>();
    ptx::increase_registers<160>();
    ptx::store(args.output + t, mixed<100>(args.input, word));
  } else {
    ptx::increase_registers<152>();
    ptx::store(args.output + t, mixed<100>(args.input, word));
    ptx::named_barrier<2, 256>();
    ptx::decrease_registers<104>();
  }
}

}  // namespace moe_tune::micro
