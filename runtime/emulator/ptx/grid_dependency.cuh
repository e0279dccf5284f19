// Twin of templates/ptx/grid_dependency.cuh: one grid runs at a time.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void launch_dependents() { machine().launch_dependents(); }
MOE_DEVICE void wait_for_dependencies() { machine().wait_for_dependencies(); }

}  // namespace moe_tune::ptx
