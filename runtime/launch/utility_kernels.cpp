#include "runtime/launch/utility_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "generator/rows_gemm.hpp"
#include "generator/support/checked.hpp"
#include "generator/templates.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/launch_kernel.hpp"
#include "templates/abi/utilities.cuh"

namespace moe_tune {

namespace {

constexpr const char* root_template = "kernels/utilities.cuh";

constexpr int fill_blocks_per_sm = 8;
constexpr int mma_flops = 2 * 16 * 8 * 16;

abi::RowsShape shape_of(const Problem& p) {
  const RowsGemm gemm = rows_gemm(p);
  const GatheredRows gathered = gathered_rows(p);
  return {p.E,          gemm.columns,  gemm.reduction,  gemm.weight_rows_are_k, gathered.slots_per_row,
          gathered.any, gemm.scatters, p.fuse_mul_post, p.fuse_mul_pre,         p.fuse_swiglu};
}

abi::WeightsShape weights_shape_of(const Problem& p) {
  return {p.E, p.N, p.K, p.top_k, p.permute_x, p.permute_y, p.float32_dw, p.accumulate};
}

/// The error whose square a kernel stored as bits.
double error_of(unsigned squared_bits) { return std::sqrt(static_cast<double>(std::bit_cast<float>(squared_bits))); }

}  // namespace

UtilityKernels::UtilityKernels(CubinCache& cache, const std::string& arch, int sm_count)
    : sm_count_(sm_count),
      module_(cache.get_or_compile(inline_template(root_template), arch, root_template).cubin),
      sink_(sizeof(float) * 4),
      bf16_(load(DType::bf16)),
      fp16_(load(DType::fp16)),
      stream_read_(module_.function("moe_tune_stream_read")) {}

UtilityKernels::TypedKernels UtilityKernels::load(DType dtype) const {
  const auto find = [&](const std::string& name) {
    return module_.function("moe_tune_" + name + "_" + std::string(to_string(dtype)));
  };
  return {find("fill_random"),     find("reference_rows"), find("reference_weights"), find("judge_defined"),
          find("judge_undefined"), find("judge_weights"),  find("mma_ceiling")};
}

void UtilityKernels::fill_random(CUdeviceptr target, std::int64_t count, DType dtype, float scale, std::uint32_t seed,
                                 CUstream stream) const {
  const int blocks = std::min(blocks_for(count, abi::fill_threads * abi::fill_values), sm_count_ * fill_blocks_per_sm);
  launch_kernel(of(dtype).fill_random, blocks, abi::fill_threads, stream, target, static_cast<long long>(count), scale, seed);
}

void UtilityKernels::reference(const Problem& problem, const abi::GroupedGemmArgs& args, CUdeviceptr reference,
                               CUstream stream) const {
  if (problem.op == Op::dW) {
    const std::int64_t tiles = std::int64_t{problem.E} * (problem.N / abi::reference_rows);
    const int blocks = narrow<int>(tiles * blocks_for(problem.K, abi::reference_threads), "blocks of the reference");
    launch_kernel(of(problem.dtype).reference_weights, blocks, abi::reference_threads, stream, weights_shape_of(problem), args,
                  reference);
    return;
  }
  if (args.M == 0) return;
  // Groups of rows hold rows of one expert; every expert may end with a group that is not full.
  const std::int64_t groups = args.M / abi::reference_rows + problem.E;
  const std::int64_t column_blocks = blocks_for(output_columns(problem), abi::reference_threads);
  const int blocks = narrow<int>(checked_mul(groups, column_blocks, "blocks of the reference"), "blocks of the reference");
  launch_kernel(of(problem.dtype).reference_rows, blocks, abi::reference_threads, stream, shape_of(problem), args, reference);
}

Comparison UtilityKernels::compare(const Problem& problem, const abi::GroupedGemmArgs& args, CUdeviceptr reference,
                                   double row_tolerance, CUstream stream) const {
  Comparison comparison;
  comparison.expert_error.resize(problem.E);
  const bool weights = problem.op == Op::dW;
  if (args.M == 0 && !weights) return comparison;

  DeviceBuffer defined(weights ? 0 : args.M);
  DeviceBuffer result(sizeof(abi::ComparisonWords) + sizeof(unsigned) * problem.E);
  defined.fill(0, stream);
  result.fill(0, stream);
  abi::ComparisonArgs compare_args = {};
  compare_args.shape = shape_of(problem);
  compare_args.gemm = args;
  compare_args.columns = weights ? problem.K : output_columns(problem);
  compare_args.reference = reinterpret_cast<const float*>(reference);
  compare_args.tolerance_squared = static_cast<float>(row_tolerance * row_tolerance);
  compare_args.defined = static_cast<unsigned char*>(defined.get());
  compare_args.result = static_cast<abi::ComparisonWords*>(result.get());
  compare_args.expert_error = reinterpret_cast<unsigned*>(compare_args.result + 1);
  compare_args.float32 = problem.float32_dw;
  const auto judge = [&](CUfunction function, std::int64_t rows) {
    launch_kernel(function, blocks_for(rows, abi::compare_warps), abi::compare_warps * 32, stream, compare_args);
  };
  const TypedKernels& kernels = of(problem.dtype);
  if (weights) {
    judge(kernels.judge_weights, std::int64_t{problem.E} * problem.N);
  } else {
    judge(kernels.judge_defined, args.M);
    judge(kernels.judge_undefined, args.M);
  }
  driver().cuStreamSynchronize(stream);

  abi::ComparisonWords words;
  std::vector<unsigned> expert_error(problem.E);
  result.download(&words, sizeof(words));
  result.download(expert_error.data(), expert_error.size() * sizeof(unsigned), sizeof(words));
  comparison.max_row_error = error_of(words.row_error);
  comparison.max_element_error = error_of(words.element_error);
  comparison.bad_rows = words.bad_rows;
  comparison.first_bad_row = words.bad_rows == 0 ? -1 : static_cast<int>(0xffffffffu - words.first_bad_row);
  std::transform(expert_error.begin(), expert_error.end(), comparison.expert_error.begin(), error_of);
  return comparison;
}

void UtilityKernels::stream_read(CUdeviceptr source, std::int64_t bytes, CUstream stream) const {
  const long long chunks = bytes / 16;
  const int blocks = std::min(blocks_for(chunks, abi::stream_threads), sm_count_ * abi::stream_blocks_per_sm);
  launch_kernel(stream_read_, blocks, abi::stream_threads, stream, source, chunks, sink_.address());
}

double UtilityKernels::mma_ceiling(DType dtype, int iterations, CUstream stream) const {
  launch_kernel(of(dtype).mma_ceiling, sm_count_, abi::mma_threads, stream, iterations, sink_.address());
  return static_cast<double>(sm_count_) * (abi::mma_threads / 32) * iterations * abi::mma_per_iteration * mma_flops;
}

}  // namespace moe_tune
