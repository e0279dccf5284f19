// Forward and dX on the CPU, as plain as it can be written: the definition that GPU code is judged by.
#pragma once

#include <span>

#include "moe_tune/problem.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// Computes `problem` (generator/include/moe_tune/problem.hpp) on host memory. `args` means what it means to a kernel, with host
/// pointers, but y, pre_activation and status are not used: the result goes to `output`, (M, columns of y) contiguous and
/// unrounded, indexed like y, and the status bits (abi::StatusBit) are returned. Rows that the problem does not define - past
/// sum(m_sizes), or with permute_y of a bad slot - are left alone; with permute_x a bad slot reads as zeros. The span's type is
/// the type of the accumulation: float for comparing, double for judging. Runs on `threads` threads; 0: one per core. Throws
/// UsageError for an invalid problem or an output of another size.
unsigned reference_rows(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<float> output, int threads = 0);
unsigned reference_rows(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<double> output, int threads = 0);

}  // namespace moe_tune
