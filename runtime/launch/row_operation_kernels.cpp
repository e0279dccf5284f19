#include "runtime/launch/row_operation_kernels.hpp"

#include <fmt/format.h>

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
      spread_rows_(module_.function("moe_tune_spread_rows")),
      unpermute_rows_(module_.function("moe_tune_unpermute_rows")),
      bf16_(load(DType::bf16)),
      fp16_(load(DType::fp16)) {}

RowOperationKernels::TypedKernels RowOperationKernels::load(DType dtype) const {
  const auto find = [&](const char* name) { return module_.function(fmt::format("moe_tune_{}_{}", name, to_string(dtype))); };
  return {find("permute_scaled_rows"), find("spread_scaled_rows"), find("act_and_mul"), find("combine_rows"),
          find("swiglu_gradient")};
}

int RowOperationKernels::blocks(std::int64_t items, int blocks_per_sm) const {
  const std::int64_t wanted = (items + abi::row_operation_threads / 32 - 1) / (abi::row_operation_threads / 32);
  return static_cast<int>(std::min<std::int64_t>(wanted, std::int64_t{sm_count_} * blocks_per_sm));
}

int RowOperationKernels::blocks(std::int64_t rows, int columns, int piece, int blocks_per_sm) const {
  return blocks(rows * ((columns + std::int64_t{piece} - 1) / piece), blocks_per_sm);
}

void RowOperationKernels::permute_rows(DType dtype, const abi::PermuteRowsArgs& args, CUstream stream) const {
  const bool scaled = args.gemm.topk_weights != nullptr;
  if (args.slot_rows != nullptr) {
    const int grid = blocks(args.gemm.M / args.slots_per_row, args.columns, abi::spread_columns, abi::spread_blocks_per_sm);
    launch_kernel(scaled ? of(dtype).spread_scaled_rows : spread_rows_, grid, abi::row_operation_threads, stream, args);
    return;
  }
  launch_kernel(scaled ? of(dtype).permute_scaled_rows : permute_rows_, blocks(args.gemm.M, abi::permute_blocks_per_sm),
                abi::row_operation_threads, stream, args);
}

void RowOperationKernels::unpermute_rows(const abi::UnpermuteRowsArgs& args, CUstream stream) const {
  launch_kernel(unpermute_rows_, blocks(args.gemm.M, abi::permute_blocks_per_sm), abi::row_operation_threads, stream, args);
}

void RowOperationKernels::act_and_mul(DType dtype, const abi::ActAndMulArgs& args, CUstream stream) const {
  launch_kernel(of(dtype).act_and_mul, blocks(args.gemm.M, args.columns, abi::activate_columns, abi::activate_blocks_per_sm),
                abi::row_operation_threads, stream, args);
}

void RowOperationKernels::combine_rows(DType dtype, const abi::CombineRowsArgs& args, CUstream stream) const {
  launch_kernel(of(dtype).combine_rows, blocks(args.tokens, args.columns, abi::combine_columns, abi::combine_blocks_per_sm),
                abi::row_operation_threads, stream, args);
}

void RowOperationKernels::swiglu_gradient(DType dtype, const abi::SwigluGradientArgs& args, CUstream stream) const {
  launch_kernel(of(dtype).swiglu_gradient, blocks(args.gemm.M, abi::swiglu_blocks_per_sm), abi::row_operation_threads, stream,
                args);
}

}  // namespace moe_tune
