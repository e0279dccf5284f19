// The argument of a dW kernel of the sm90 family. One description of its tensor maps, for the GPU and for the emulated device.
#pragma once

#include "runtime/launch/rows_maps.hpp"
#include "templates/abi/weights_sm90.cuh"

namespace moe_tune {

/// `args`: x is X, y is dY, w is dW, which is written. Where rows of one of them are gathered, the kernel reads the copies in
/// resources.workspace. `config` serves the problem, of op dW.
abi::WeightsSm90Args weights_sm90_args(const Problem& problem, const KernelConfig& config, const abi::GroupedGemmArgs& args,
                                       const LaunchResources& resources, TensorMapEncoder encode);

/// The argument of the dispatch before a kernel: the gathered operand as x.
abi::GroupedGemmArgs dispatch_args(const Problem& problem, const abi::GroupedGemmArgs& args);

}  // namespace moe_tune
