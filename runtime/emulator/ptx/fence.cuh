// Twin of templates/ptx/fence.cuh.
#pragma once

#include "ptx/base.cuh"

namespace moe_tune::ptx {

MOE_DEVICE void fence_async_shared() { machine().fence_async(emulator::Space::shared); }
MOE_DEVICE void fence_async_global() { machine().fence_async(emulator::Space::global); }
MOE_DEVICE void fence_async() { machine().fence_async(emulator::Space::all); }

}  // namespace moe_tune::ptx
