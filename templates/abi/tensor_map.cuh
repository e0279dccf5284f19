// The descriptor of a tensor that TMA instructions read: the driver's CUtensorMap, which the host encodes.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

namespace moe_tune::abi {

/// A kernel takes it by value as `const MOE_GRID_CONSTANT TensorMap` and passes on its address; a copy on the stack is no tensor
/// map to the hardware.
struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

}  // namespace moe_tune::abi
