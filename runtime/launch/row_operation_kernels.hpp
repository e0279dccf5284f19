// The kernels of the row operations (templates/kernels/row_operations.cuh), loaded on a device.
#pragma once

#include <cuda.h>

#include <string>

#include "moe_tune/problem.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/module.hpp"
#include "templates/abi/row_operations.cuh"

namespace moe_tune {

/// Compiled for the device of the current context and loaded there. Methods are thread-safe and enqueue on `stream`, which
/// belongs to that context; no rows: nothing. They throw EnvironmentError when the driver refuses a launch.
class RowOperationKernels {
 public:
  /// Compiles through the cache for `arch`, e.g. "sm_90", and loads into the current context.
  RowOperationKernels(CubinCache& cache, const std::string& arch, int sm_count);

  /// `dtype` counts where rows are scaled.
  void permute_rows(DType dtype, const abi::PermuteRowsArgs& args, CUstream stream) const;
  void unpermute_rows(const abi::UnpermuteRowsArgs& args, CUstream stream) const;
  void act_and_mul(DType dtype, const abi::ActAndMulArgs& args, CUstream stream) const;
  void combine_rows(DType dtype, const abi::CombineRowsArgs& args, CUstream stream) const;
  void swiglu_gradient(DType dtype, const abi::SwigluGradientArgs& args, CUstream stream) const;

 private:
  /// The kernels of one dtype.
  struct TypedKernels {
    CUfunction permute_scaled_rows;
    CUfunction spread_scaled_rows;
    CUfunction act_and_mul;
    CUfunction combine_rows;
    CUfunction swiglu_gradient;
  };

  TypedKernels load(DType dtype) const;
  const TypedKernels& of(DType dtype) const { return dtype == DType::bf16 ? bf16_ : fp16_; }
  /// Of a kernel whose warps take `items` of work in turn.
  int blocks(std::int64_t items, int blocks_per_sm) const;
  /// The same where `piece` columns of a row are an item.
  int blocks(std::int64_t rows, int columns, int piece, int blocks_per_sm) const;

  int sm_count_;
  Module module_;
  CUfunction permute_rows_;
  CUfunction spread_rows_;
  CUfunction unpermute_rows_;
  TypedKernels bf16_;
  TypedKernels fp16_;
};

}  // namespace moe_tune
