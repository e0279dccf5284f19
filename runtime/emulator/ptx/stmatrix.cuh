// Twin of templates/ptx/stmatrix.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void stmatrix_x4(const u32 (&fragment)[4], u32 shared_address) {
  machine().store_matrices(fragment, 4, false, shared_address);
}

MOE_DEVICE void stmatrix_x4_transposed(const u32 (&fragment)[4], u32 shared_address) {
  machine().store_matrices(fragment, 4, true, shared_address);
}

MOE_DEVICE void stmatrix_x2(const u32 (&fragment)[2], u32 shared_address) {
  machine().store_matrices(fragment, 2, false, shared_address);
}

MOE_DEVICE void stmatrix_x2_transposed(const u32 (&fragment)[2], u32 shared_address) {
  machine().store_matrices(fragment, 2, true, shared_address);
}

}  // namespace moe_tune::ptx
