// The arguments of a grouped GEMM on their way to a kernel.
#pragma once

#include "moe_tune/grouped_gemm.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// What the kernel of `problem` gets; `status` is where it reports bad device data. Throws UsageError naming the argument that is
/// wrong. The workspace is left to the caller.
abi::GroupedGemmArgs convert(const Problem& problem, const GroupedGemmArgs& args, unsigned* status);

}  // namespace moe_tune
