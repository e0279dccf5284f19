// Twin of templates/ptx/elect.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE bool elect_one() { return machine().elect(); }

}  // namespace moe_tune::ptx
