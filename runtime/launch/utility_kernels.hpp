// The kernels around the measured one: test data, the float32 reference, comparison, streaming read, MMA ceiling.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>

#include "moe_tune/problem.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/module.hpp"
#include "runtime/launch/device_memory.hpp"
#include "runtime/reference/comparison.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// All utility kernels, compiled for the device of the current context and loaded there. Methods are thread-safe, work in order
/// on `stream`, which belongs to that context, and are asynchronous unless they say that they wait. They throw EnvironmentError
/// when the driver refuses a launch.
class UtilityKernels {
 public:
  /// Compiles through the cache for `arch`, e.g. "sm_90", and loads into the current context.
  UtilityKernels(CubinCache& cache, const std::string& arch, int sm_count);

  /// `count` values of `dtype`, approximately normal with standard deviation `scale`, a pure function of seed and position:
  /// runtime/reference/random.hpp computes the same bits. `target` is 16-byte aligned.
  void fill_random(CUdeviceptr target, std::int64_t count, DType dtype, float scale, std::uint32_t seed, CUstream stream) const;

  /// The reference: `reference` is (M, columns of y) float32, indexed like y; of dW (E, N, K). It shares no code with the
  /// measured kernels. Rows that the problem does not define (past sum(m_sizes), bad slots with permute_y) keep what they had.
  /// Sets no status bits.
  void reference(const Problem& problem, const abi::GroupedGemmArgs& args, CUdeviceptr reference, CUstream stream) const;

  /// Compares y (args.y, with its row stride; of dW args.w) with the reference on the rows that the problem defines and waits for
  /// the result. The other rows of the M must still hold the poison byte 0xff in every element, or they count as bad. A row is
  /// bad when its row error is above `row_tolerance`.
  Comparison compare(const Problem& problem, const abi::GroupedGemmArgs& args, CUdeviceptr reference, double row_tolerance,
                     CUstream stream) const;

  /// Reads `bytes` bytes with 16-byte loads and writes nothing: evicts the L2, and is the streaming read that small T is
  /// compared with. `bytes` is a multiple of 16, `source` 16-byte aligned.
  void stream_read(CUdeviceptr source, std::int64_t bytes, CUstream stream) const;

  /// A register-only loop of mma.sync on random operands, 8 warps on each SM, `iterations` times 32 of them per warp; returns its
  /// floating-point operations and does not wait.
  double mma_ceiling(DType dtype, int iterations, CUstream stream) const;

 private:
  /// The kernels of one dtype.
  struct TypedKernels {
    CUfunction fill_random;
    CUfunction reference_rows;
    CUfunction reference_weights;
    CUfunction judge_defined;
    CUfunction judge_undefined;
    CUfunction judge_weights;
    CUfunction mma_ceiling;
  };

  TypedKernels load(DType dtype) const;
  const TypedKernels& of(DType dtype) const { return dtype == DType::bf16 ? bf16_ : fp16_; }

  int sm_count_;
  Module module_;
  DeviceBuffer sink_;  ///< what a kernel would write its result to, so that the compiler keeps the work
  TypedKernels bf16_;
  TypedKernels fp16_;
  CUfunction stream_read_;
};

}  // namespace moe_tune
