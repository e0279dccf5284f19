// Twin of templates/ptx/shared.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE u32 shared_base() { return machine().shared_base(); }

MOE_DEVICE void store_shared(u32 address, int value) { machine().store_shared(address, &value, 4); }
MOE_DEVICE void store_shared(u32 address, float value) { machine().store_shared(address, &value, 4); }
MOE_DEVICE void store_shared(u32 address, const Words4& value) { machine().store_shared(address, &value, 16); }

MOE_DEVICE int load_shared(u32 address) {
  int value;
  machine().load_shared(address, &value, 4);
  return value;
}

MOE_DEVICE float load_shared_float(u32 address) {
  float value;
  machine().load_shared(address, &value, 4);
  return value;
}

MOE_DEVICE Words4 load_shared_16(u32 address) {
  Words4 value;
  machine().load_shared(address, &value, 16);
  return value;
}

}  // namespace moe_tune::ptx
