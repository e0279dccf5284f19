// The arguments of row operations on their way to a kernel.
#pragma once

#include "moe_tune/row_operations.hpp"
#include "templates/abi/row_operations.cuh"

namespace moe_tune {

// What a kernel gets, but for the status word. Each throws UsageError naming the argument that is wrong.
abi::PermuteRowsArgs convert(const PermuteRowsArgs& args);
abi::UnpermuteRowsArgs convert(const UnpermuteRowsArgs& args);
abi::ActAndMulArgs convert(const ActAndMulArgs& args);
abi::CombineRowsArgs convert(const CombineRowsArgs& args);
abi::SwigluGradientArgs convert(const SwigluGradientArgs& args);

}  // namespace moe_tune
