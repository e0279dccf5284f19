#include "runtime/launch/row_operation_kernels.hpp"

#include <algorithm>
#include <cstdint>

#include "generator/templates.hpp"
#include "runtime/launch/launch_kernel.hpp"

namespace moe_tune {

namespace {

constexpr const char* root_template = "kernels/row_operations.cuh";

}  // namespace

RowOperationKernels::RowOperationKernels(CubinCache& cache, const std::string& arch, int sm_count)
    : sm_count_(sm_count),
      module_(cache.get_or_compile(inline_template(root_template), arch, root_template).cubin),
      permute_rows_(module_.function("moe_tune_permute_rows")),
      bf16_(load(DType::bf16)),
      fp16_(load(DType::fp16)) {}

RowOperationKernels::TypedKernels RowOperationKernels::load(DType dtype) const {
  const std::string type(to_string(dtype));
  return {module_.function("moe_tune_combine_rows_" + type), module_.function("moe_tune_swiglu_gradient_" + type)};
}

int RowOperationKernels::blocks(std::int64_t items, int blocks_per_sm) const {
  const std::int64_t wanted = (items + abi::row_operation_threads / 32 - 1) / (abi::row_operation_threads / 32);
  return static_cast<int>(std::min<std::int64_t>(wanted, std::int64_t{sm_count_} * blocks_per_sm));
}

void RowOperationKernels::permute_rows(const abi::PermuteRowsArgs& args, CUstream stream) const {
  launch_kernel(permute_rows_, blocks(args.gemm.M, abi::permute_blocks_per_sm), abi::row_operation_threads, stream, args);
}

void RowOperationKernels::combine_rows(DType dtype, const abi::CombineRowsArgs& args, CUstream stream) const {
  const std::int64_t pieces = (args.columns + std::int64_t{255}) / 256;
  launch_kernel(of(dtype).combine_rows, blocks(args.tokens * pieces, abi::combine_blocks_per_sm), abi::row_operation_threads,
                stream, args);
}

void RowOperationKernels::swiglu_gradient(DType dtype, const abi::SwigluGradientArgs& args, CUstream stream) const {
  launch_kernel(of(dtype).swiglu_gradient, blocks(args.gemm.M, abi::swiglu_blocks_per_sm), abi::row_operation_threads, stream,
                args);
}

}  // namespace moe_tune
