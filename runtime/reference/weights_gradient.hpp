// dW on the CPU, as plain as it can be written: the definition that GPU code is judged by.
#pragma once

#include <span>

#include "moe_tune/problem.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// Computes `problem`, of op dW, on host memory: x, y (dY), m_sizes and gather_indices of `args` are host pointers. The result
/// goes to `output`, (E, N, K) contiguous and unrounded, zeros for experts without rows; a row with a bad slot adds nothing. With
/// accumulate w of `args` is what dW was before, which is added.
/// Returns the status bits (abi::StatusBit). The span's type is the type of the accumulation. Runs on `threads` threads; 0: one
/// per core. Throws UsageError for an invalid problem or an output of another size.
unsigned reference_weights(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<float> output, int threads = 0);
unsigned reference_weights(const Problem& problem, const abi::GroupedGemmArgs& args, std::span<double> output, int threads = 0);

}  // namespace moe_tune
