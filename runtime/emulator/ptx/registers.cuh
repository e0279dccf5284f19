// Twin of templates/ptx/registers.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

template <int Count>
MOE_DEVICE void increase_registers() {
  static_assert(24 <= Count && Count <= 256 && Count % 8 == 0);
  machine().set_registers(Count, true);
}

template <int Count>
MOE_DEVICE void decrease_registers() {
  static_assert(24 <= Count && Count <= 256 && Count % 8 == 0);
  machine().set_registers(Count, false);
}

}  // namespace moe_tune::ptx
