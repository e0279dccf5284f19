// Twin of templates/ptx/atomics.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

using emulator::Atomic;
using emulator::Order;

MOE_DEVICE u32 load_acquire_gpu(const u32* address) {
  return machine().atomic_global(Atomic::load, const_cast<u32*>(address), 0, 0, Order::acquire);
}

MOE_DEVICE u32 load_relaxed_gpu(const u32* address) {
  return machine().atomic_global(Atomic::load, const_cast<u32*>(address), 0, 0, Order::relaxed);
}

MOE_DEVICE void store_release_gpu(u32* address, u32 value) {
  machine().atomic_global(Atomic::store, address, value, 0, Order::release);
}

MOE_DEVICE void store_relaxed_gpu(u32* address, u32 value) {
  machine().atomic_global(Atomic::store, address, value, 0, Order::relaxed);
}

MOE_DEVICE u32 atomic_add_relaxed_gpu(u32* address, u32 value) {
  return machine().atomic_global(Atomic::add, address, value, 0, Order::relaxed);
}

MOE_DEVICE u32 atomic_add_acq_rel_gpu(u32* address, u32 value) {
  return machine().atomic_global(Atomic::add, address, value, 0, Order::acq_rel);
}

MOE_DEVICE void reduce_add_release_gpu(u32* address, u32 value) {
  machine().atomic_global(Atomic::add, address, value, 0, Order::release);
}

MOE_DEVICE u32 atomic_exchange_relaxed_gpu(u32* address, u32 value) {
  return machine().atomic_global(Atomic::exchange, address, value, 0, Order::relaxed);
}

MOE_DEVICE u32 atomic_cas_acq_rel_gpu(u32* address, u32 expected, u32 desired) {
  return machine().atomic_global(Atomic::compare_exchange, address, desired, expected, Order::acq_rel);
}

MOE_DEVICE void reduce_add_f32(float* address, float value) {
  machine().atomic_global(Atomic::add_f32, address, __builtin_bit_cast(u32, value), 0, Order::relaxed);
}

MOE_DEVICE void reduce_add_x4_f32(float* address, const float (&values)[4]) {
  machine().check_aligned(address, 16, "red.global.add.v4.f32");
  for (int i = 0; i < 4; ++i) reduce_add_f32(address + i, values[i]);
}

MOE_DEVICE void fence_acq_rel_cta() { machine().thread_fence(); }
MOE_DEVICE void fence_acq_rel_cluster() { machine().thread_fence(); }
MOE_DEVICE void fence_acq_rel_gpu() { machine().thread_fence(); }
MOE_DEVICE void fence_acq_rel_system() { machine().thread_fence(); }

}  // namespace moe_tune::ptx
