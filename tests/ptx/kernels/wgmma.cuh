// wgmma on operands that the host has laid out: the input is an image of shared memory, then registers.
// archs: sm_90a
#pragma once

#include "arguments.cuh"
#include "ptx/fence.cuh"
#include "ptx/global.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "ptx/wgmma.cuh"
#include "setup.cuh"

namespace moe_tune::micro {

/// An operand in shared memory: what its descriptor says, from the descriptor of one 16 of K to the next, bytes of all of it.
template <ptx::SwizzleMode Swizzle, ptx::Major Order, int Leading, int Stride, int Step, int Bytes>
struct Operand {
  static constexpr ptx::Major major = Order;
  static constexpr int bytes = Bytes;

  static MOE_DEVICE u64 descriptor(u32 address, int step) {
    const u64 first = ptx::matrix_descriptor<Swizzle>(address, Leading, Stride);
    return ptx::advance_descriptor(first, static_cast<u32>(step * Step));
  }
};

/// What a product starts from.
enum class Start { nothing, registers };

template <int Count>
MOE_DEVICE void load_registers(float (&d)[Count], const u32* source) {
  MOE_UNROLL
  for (int i = 0; i < Count; ++i)
    d[i] = ptx::load_constant(reinterpret_cast<const float*>(source) + ptx::thread_index() * Count + i);
}

template <int Count>
MOE_DEVICE void put_registers(u32* target, const float (&d)[Count]) {
  MOE_UNROLL
  for (int i = 0; i < Count; ++i) ptx::store(reinterpret_cast<float*>(target) + ptx::thread_index() * Count + i, d[i]);
}

/// Warpgroups multiply Steps * 16 of K, each with an A of its own and the same B. The image holds the As, then B; after it come
/// the accumulators of every thread where they are the Start.
template <DType Type, int N, class A, class B, int Steps, int ScaleA, int ScaleB, Start From, int Warpgroups>
MOE_DEVICE void product_of_shared(const Arguments& args) {
  constexpr int image = Warpgroups * A::bytes + B::bytes;
  const u32 base = ptx::shared_base();
  fill_from<Warpgroups * 128>(base, args.input, image);
  ptx::block_barrier();
  const u32 a = base + ptx::thread_index() / 128 * A::bytes, b = base + Warpgroups * A::bytes;
  float d[N / 2];
  if constexpr (From == Start::registers) load_registers(d, args.input + image / 4);
  ptx::warpgroup_fence();
  ptx::wgmma<Type, N, A::major, B::major, ScaleA, ScaleB>(d, A::descriptor(a, 0), B::descriptor(b, 0), From == Start::registers);
  MOE_UNROLL
  for (int step = 1; step < Steps; ++step) {
    ptx::wgmma<Type, N, A::major, B::major, ScaleA, ScaleB>(d, A::descriptor(a, step), B::descriptor(b, step), true);
  }
  ptx::warpgroup_commit();
  ptx::warpgroup_wait<0>();
  ptx::keep_registers(d);
  put_registers(args.output, d);
}

/// The same with A in registers: after the image of B come, for each step, four words of every thread.
template <DType Type, int N, class B, int Steps, int ScaleA, int ScaleB>
MOE_DEVICE void product_of_registers(const Arguments& args) {
  const u32 base = ptx::shared_base();
  fill_from<128>(base, args.input, B::bytes);
  ptx::block_barrier();
  u32 a[Steps][4];
  MOE_UNROLL
  for (int i = 0; i < Steps * 4; ++i) {
    a[i / 4][i % 4] =
        ptx::load_constant(args.input + B::bytes / 4 + (i / 4 * 128 + static_cast<int>(ptx::thread_index())) * 4 + i % 4);
  }
  float d[N / 2];
  ptx::warpgroup_fence();
  ptx::wgmma_registers_a<Type, N, B::major, ScaleA, ScaleB>(d, a[0], B::descriptor(base, 0), false);
  MOE_UNROLL
  for (int step = 1; step < Steps; ++step) {
    ptx::wgmma_registers_a<Type, N, B::major, ScaleA, ScaleB>(d, a[step], B::descriptor(base, step), true);
  }
  ptx::warpgroup_commit();
  ptx::warpgroup_wait<0>();
  ptx::keep_registers(d);
  put_registers(args.output, d);
}

/// Two products of the same operands, steps 0 and 1, in groups of their own on accumulators of their own: the first is read while
/// the second may be under way, and then goes on as the start of a third product, of step 1.
template <DType Type, int N, class A, class B>
MOE_DEVICE void groups_in_flight(const Arguments& args) {
  const u32 base = ptx::shared_base(), b = base + A::bytes;
  fill_from<128>(base, args.input, A::bytes + B::bytes);
  ptx::block_barrier();
  float first[N / 2], second[N / 2];
  ptx::warpgroup_fence();
  ptx::wgmma<Type, N, A::major, B::major>(first, A::descriptor(base, 0), B::descriptor(b, 0), false);
  ptx::warpgroup_commit();
  ptx::wgmma<Type, N, A::major, B::major>(second, A::descriptor(base, 1), B::descriptor(b, 1), false);
  ptx::warpgroup_commit();
  ptx::warpgroup_wait<1>();
  ptx::keep_registers(first);
  put_registers(args.output, first);
  MOE_UNROLL
  for (int i = 0; i < N / 2; ++i) first[i] *= 2;
  ptx::warpgroup_wait<0>();
  ptx::keep_registers(second);
  put_registers(args.output + 128 * (N / 2), second);
  ptx::warpgroup_fence();
  ptx::wgmma<Type, N, A::major, B::major>(first, A::descriptor(base, 1), B::descriptor(b, 1), true);
  ptx::warpgroup_commit();
  ptx::warpgroup_wait<0>();
  ptx::keep_registers(first);
  put_registers(args.output + 2 * 128 * (N / 2), first);
}

}  // namespace moe_tune::micro
