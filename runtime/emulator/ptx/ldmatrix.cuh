// Twin of templates/ptx/ldmatrix.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void ldmatrix_x4(u32 (&fragment)[4], u32 shared_address) {
  machine().load_matrices(fragment, 4, false, shared_address);
}

MOE_DEVICE void ldmatrix_x4_transposed(u32 (&fragment)[4], u32 shared_address) {
  machine().load_matrices(fragment, 4, true, shared_address);
}

MOE_DEVICE void ldmatrix_x2(u32 (&fragment)[2], u32 shared_address) {
  machine().load_matrices(fragment, 2, false, shared_address);
}

MOE_DEVICE void ldmatrix_x2_transposed(u32 (&fragment)[2], u32 shared_address) {
  machine().load_matrices(fragment, 2, true, shared_address);
}

}  // namespace moe_tune::ptx
