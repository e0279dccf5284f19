// The row operations on the CPU, as plain as they can be written: the definition that GPU code is judged by.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_tune/problem.hpp"
#include "templates/abi/row_operations.cuh"

namespace moe_tune {

// `args` mean what they mean to a kernel, with host pointers, but outputs and status are not used. Results are contiguous and
// unrounded; the status bits (abi::StatusBit) are returned.

/// Fills the rows of (M, columns) that the call defines; the others are left alone. Scaled rows are rounded.
unsigned reference_permute_rows(DType dtype, const abi::PermuteRowsArgs& args, std::span<std::uint16_t> rows);

/// The same by slot.
unsigned reference_unpermute_rows(const abi::UnpermuteRowsArgs& args, std::span<std::uint16_t> out);

struct ActAndMulReference {
  std::vector<float> out;          ///< (M, columns)
  std::vector<bool> defined_rows;  ///< (M)
  unsigned status = 0;
};

ActAndMulReference reference_act_and_mul(DType dtype, const abi::ActAndMulArgs& args);

struct CombineRowsReference {
  std::vector<float> out;          ///< (tokens, columns)
  std::vector<bool> defined_rows;  ///< (tokens)
  unsigned status = 0;
};

CombineRowsReference reference_combine_rows(DType dtype, const abi::CombineRowsArgs& args);

struct SwigluGradientReference {
  std::vector<float> d_pre_activation;  ///< (M, 2 columns)
  std::vector<float> activation;        ///< (M, columns)
  std::vector<bool> defined_rows;       ///< (M) of the two
  std::vector<double> d_topk_weights;   ///< (M) by slot
  std::vector<double> summed_size;      ///< (M) the sums of the same terms' magnitudes
  std::vector<bool> defined_slots;      ///< (M) of the two
  unsigned status = 0;
};

/// In float64.
SwigluGradientReference reference_swiglu_gradient(DType dtype, const abi::SwigluGradientArgs& args);

}  // namespace moe_tune
