// The kernels around the measured one: test data, the float32 reference, comparison, streaming read, MMA ceiling.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>
#include <vector>

#include "moe_tune/problem.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/module.hpp"
#include "runtime/launch/device_memory.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

/// What the comparison of an output with the float32 reference found. Errors are relative to the row: for row r,
/// |y - ref|_2 / |ref|_2, and the largest element error over the row's root mean square. NaN or an unwritten element fails.
struct Comparison {
  double max_row_error = 0;      ///< worst |y - ref|_2 / |ref|_2 of a row; infinity for NaN
  double max_element_error = 0;  ///< worst |y - ref| / rms(ref row); infinity for NaN
  std::int64_t bad_rows = 0;     ///< rows over the tolerance, NaN included
  int first_bad_row = -1;        ///< smallest such row of the output
  std::vector<double> expert_error;  ///< (E) worst row error of each expert's rows

  bool pass() const { return bad_rows == 0; }
};

/// All utility kernels, compiled for the device of the current context and loaded there. Methods work in order on `stream`
/// and are asynchronous unless they return a value.
class UtilityKernels {
 public:
  UtilityKernels(CubinCache& cache, const std::string& arch, int sm_count);

  /// `count` values of `dtype`, approximately normal with standard deviation `scale`, a pure function of seed and position.
  void fill_random(CUdeviceptr target, std::int64_t count, DType dtype, float scale, std::uint32_t seed, CUstream stream) const;

  /// The reference: `reference` is (M, N) float32, indexed like y. It shares no code with the measured kernels. Rows that the
  /// problem does not define (past sum(m_sizes), bad slots with permute_y) keep what they had.
  void reference_forward(const Problem& problem, const abi::GroupedGemmArgs& args, CUdeviceptr reference, CUstream stream) const;

  /// Compares y (args.y, with its row stride) with the reference on the rows that the problem defines and waits for the result.
  /// `undefined rows` must still hold the poison byte 0xff in every byte, or they count as bad.
  Comparison compare(const Problem& problem, const abi::GroupedGemmArgs& args, CUdeviceptr reference, double row_tolerance,
                     CUstream stream) const;

  /// Reads `bytes` bytes with 16-byte loads and writes nothing: evicts the L2, and is the streaming read that small T is
  /// compared with. `bytes` is a multiple of 16.
  void stream_read(CUdeviceptr source, std::int64_t bytes, CUstream stream) const;

  /// A register-only loop of mma.sync on random operands; returns its floating-point operations. `iterations` per warp.
  double mma_ceiling(DType dtype, int iterations, CUstream stream) const;

 private:
  int sm_count_;
  Module module_;
  DeviceBuffer sink_;
};

/// Row tolerance of the comparison for outputs rounded once to `dtype`.
double row_tolerance(DType dtype);

}  // namespace moe_tune
