#include "runtime/launch/gemm_kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "generator/constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/integer.hpp"
#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/launch_kernel.hpp"
#include "runtime/launch/weights_maps.hpp"

namespace moe_tune {

DeviceDescription describe_device(const DeviceInfo& info) {
  DeviceDescription description = nearest_device(info.name, info.cc_major, info.cc_minor);
  const DeviceDescription nearest = description;
  description.name = info.name;
  description.cc_major = info.cc_major;
  description.cc_minor = info.cc_minor;
  description.sm_count = info.sm_count;
  description.shared_per_block = info.smem_optin;
  description.shared_per_sm = info.smem_per_sm;
  description.registers_per_sm = info.regs_per_sm;
  description.l2_bytes = info.l2_bytes;
  description.memory_bytes = info.total_bytes;
  if (nearest.name != info.name) {
    // Another card of the same family: its rates scale with its SMs.
    description.key.clear();
    const double scale = static_cast<double>(info.sm_count) / nearest.sm_count;
    description.mma_sync_tflops *= scale;
    description.wgmma_tflops *= scale;
    description.dram_gb_per_s *= scale;
  }
  return description;
}

CompiledKernel compile_kernel(CubinCache& cache, const Problem& problem, const KernelConfig& config,
                              const DeviceDescription& device, WeightLayout layout) {
  return cache.get_or_compile(emit_kernel(problem, config, layout), arch_for(config.family, device), to_string(config) + ".cu");
}

GemmKernel::GemmKernel(const Problem& problem, const KernelConfig& config, const CompiledKernel& compiled, int sm_count)
    : problem_(problem),
      config_(config),
      shared_bytes_(shared_memory_bytes(problem, config)),
      sm_count_(sm_count),
      module_(compiled.cubin),
      function_(module_.function(kernel_name(problem.op))) {
  if (dispatches(problem, config)) dispatch_ = module_.function(dispatch_kernel_name);
  driver().cuFuncSetAttribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes_);
  driver().cuOccupancyMaxActiveBlocksPerMultiprocessor(&resident_blocks_, function_, threads_per_block(config),
                                                       static_cast<std::size_t>(shared_bytes_));
}

std::int64_t GemmKernel::most_tiles(int M) const {
  if (M > most_rows) {
    throw UsageError(fmt::format("{} rows in one call; at most {}: split the call", M, most_rows));
  }
  const std::int64_t most = problem_.op == Op::dW ? std::int64_t{problem_.E} * ceil_div(problem_.N, config_.BLOCK_M) *
                                                        ceil_div(problem_.K, config_.BLOCK_N)
                                                  : std::int64_t{ceil_div(rows_gemm(problem_).columns, config_.BLOCK_N)} *
                                                        (M / config_.BLOCK_M + std::int64_t{problem_.E});
  // Tile ids are 32 bits wide.
  if (most > INT32_MAX) {
    throw UsageError(fmt::format("{} rows make up to {} tiles with {}; at most 2^31 - 1: split the call or use larger blocks", M,
                                 most, to_string(config_)));
  }
  return most;
}

void GemmKernel::launch(const abi::GroupedGemmArgs& args, const LaunchResources& resources, CUstream stream, int max_sms) const {
  if (args.M == 0 && !writes_without_rows(problem_)) return;
  if (copies_rows(problem_, config_) && args.M > 0 && resources.workspace == nullptr) {
    throw UsageError(fmt::format("{} needs {} bytes of workspace and got none", to_string(config_), workspace_bytes(args.M)));
  }
  if (needs_queue() && resources.queue == nullptr) {
    throw UsageError(fmt::format("{} needs a queue counter and got none", to_string(config_)));
  }
  // Blocks are spread over the SMs first: only a grid of at most max_sms blocks is sure to stay within as many SMs.
  std::int64_t blocks = max_sms > 0 ? std::min(max_sms, sm_count_) : std::int64_t{sm_count_} * config_.ctas_per_sm;
  blocks = std::min(blocks, most_tiles(args.M));
  blocks = std::max<std::int64_t>(blocks / config_.cluster, 1) * config_.cluster;

  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attribute.value.clusterDim = {static_cast<unsigned>(config_.cluster), 1, 1};
  CUlaunchConfig launch{};
  launch.gridDimX = static_cast<unsigned>(blocks);
  launch.blockDimX = static_cast<unsigned>(threads_per_block(config_));
  launch.gridDimY = launch.gridDimZ = launch.blockDimY = launch.blockDimZ = 1;
  launch.sharedMemBytes = static_cast<unsigned>(shared_bytes_);
  launch.hStream = stream;
  launch.attrs = &attribute;
  launch.numAttrs = config_.cluster > 1 ? 1 : 0;
  abi::GroupedGemmArgs plain = args;
  abi::RowsSm90Args of_rows{};
  abi::WeightsSm90Args of_weights{};
  void* parameters[] = {&plain};
  if (dispatch_ != nullptr && args.M > 0) launch_dispatch(dispatch_args(problem_, args), resources.workspace, stream, max_sms);
  if (config_.family == Family::sm90 && problem_.op == Op::dW) {
    of_weights = weights_sm90_args(problem_, config_, args, resources, encode_tensor_map);
    parameters[0] = &of_weights;
  } else if (config_.family == Family::sm90) {
    of_rows = rows_sm90_args(problem_, config_, args, resources, encode_tensor_map);
    parameters[0] = &of_rows;
    if (const std::size_t words = copied_words(problem_, config_, args.M); words > 0) {
      driver().cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(of_rows.copied), 0, words, stream);
    }
  }
  driver().cuLaunchKernelEx(&launch, function_, parameters, nullptr);
}

void GemmKernel::launch_dispatch(const abi::GroupedGemmArgs& args, void* workspace, CUstream stream, int max_sms) const {
  const int rows_of_block = abi::dispatch_threads / 32;
  const int wanted = max_sms > 0 ? std::min(max_sms, sm_count_) : sm_count_ * abi::dispatch_blocks_per_sm;
  const int blocks = std::min(wanted, (args.M - 1) / rows_of_block + 1);
  abi::GroupedGemmArgs copy = args;
  void* parameters[] = {&copy, &workspace};
  driver().cuLaunchKernel(dispatch_, static_cast<unsigned>(blocks), 1, 1, abi::dispatch_threads, 1, 1,
                          static_cast<unsigned>(dispatch_shared_bytes(problem_)), stream, parameters, nullptr);
}

}  // namespace moe_tune
