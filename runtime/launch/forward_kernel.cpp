#include "runtime/launch/forward_kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "generator/constraints.hpp"
#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"

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
    description.dram_gb_per_s *= scale;
  }
  return description;
}

CompiledKernel compile_forward(CubinCache& cache, const Problem& problem, const KernelConfigForward& config,
                               const std::string& arch, WeightLayout layout) {
  return cache.get_or_compile(emit_forward(problem, config, layout), arch, to_string(config) + ".cu");
}

ForwardKernel::ForwardKernel(const Problem& problem, const KernelConfigForward& config, const CompiledKernel& compiled,
                             int sm_count)
    : config_(config),
      shared_bytes_(shared_memory_bytes(problem, config)),
      column_tiles_((problem.N + config.BLOCK_N - 1) / config.BLOCK_N),
      experts_(problem.E),
      sm_count_(sm_count),
      module_(compiled.cubin),
      function_(module_.function(forward_kernel_name)) {
  driver().cuFuncSetAttribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes_);
  driver().cuOccupancyMaxActiveBlocksPerMultiprocessor(&resident_blocks_, function_, threads_per_block(config),
                                                       static_cast<std::size_t>(shared_bytes_));
}

void ForwardKernel::launch(const abi::GroupedGemmArgs& args, CUstream stream, int max_sms) const {
  if (args.M == 0) return;
  // Tile ids are 32 bits wide.
  const std::int64_t most_tiles = column_tiles_ * (args.M / config_.BLOCK_M + std::int64_t{experts_});
  if (most_tiles > INT32_MAX) {
    throw UsageError(fmt::format("{} rows make up to {} tiles with {}; at most 2^31 - 1: split the call or use larger blocks",
                                 args.M, most_tiles, to_string(config_)));
  }
  // Blocks are spread over the SMs first: only a grid of at most max_sms blocks is sure to stay within as many SMs.
  const std::int64_t wanted = max_sms > 0 ? std::min(max_sms, sm_count_) : std::int64_t{sm_count_} * config_.ctas_per_sm;
  const auto blocks = static_cast<unsigned>(std::min(wanted, most_tiles));
  abi::GroupedGemmArgs copy = args;
  void* parameters[] = {&copy};
  driver().cuLaunchKernel(function_, blocks, 1, 1, static_cast<unsigned>(threads_per_block(config_)), 1, 1,
                          static_cast<unsigned>(shared_bytes_), stream, parameters, nullptr);
}

}  // namespace moe_tune
