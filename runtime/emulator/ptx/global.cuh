// Twin of templates/ptx/global.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE char* advance(char* base, int row, int row_bytes) { return base + static_cast<i64>(row) * row_bytes; }

template <class T>
MOE_DEVICE T load(const T* address) {
  T value;
  machine().load_global(address, &value, sizeof(T), "ld.global");
  return value;
}

template <class T>
MOE_DEVICE T load_constant(const T* address) {
  T value;
  machine().load_global(address, &value, sizeof(T), "ld.global.nc");
  return value;
}

MOE_DEVICE Words4 load_streaming(const void* address) { return load_constant(static_cast<const Words4*>(address)); }
MOE_DEVICE Words4 load_constant_16(const void* address) { return load_constant(static_cast<const Words4*>(address)); }

MOE_DEVICE void store(void* address, const Words4& value) { machine().store_global(address, &value, 16, "st.global.v4"); }

template <class T>
MOE_DEVICE void store(T* address, T value) {
  machine().store_global(address, &value, sizeof(T), "st.global");
}

MOE_DEVICE void set_status(u32* status, u32 bits) {
  machine().atomic_global(emulator::Atomic::bit_or, status, bits, 0, emulator::Order::relaxed);
}

MOE_DEVICE u32 atomic_add(u32* address, u32 value) {
  return machine().atomic_global(emulator::Atomic::add, address, value, 0, emulator::Order::relaxed);
}

MOE_DEVICE u32 atomic_max(u32* address, u32 value) {
  return machine().atomic_global(emulator::Atomic::max, address, value, 0, emulator::Order::relaxed);
}

}  // namespace moe_tune::ptx
