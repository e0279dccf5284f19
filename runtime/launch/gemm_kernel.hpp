// A compiled grouped-GEMM kernel, loaded on one device and ready to launch.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>

#include "generator/device.hpp"
#include "generator/emit.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/jit/module.hpp"
#include "runtime/launch/rows_maps.hpp"

namespace moe_tune {

/// The description that constraints, heuristics and the model use for a live GPU: limits from the driver, rates from the table.
DeviceDescription describe_device(const DeviceInfo& info);

/// Emits, compiles (through the cache; no GPU needed) the kernel of a config for a device. Throws UsageError for a config outside
/// the space, CompileError when the compiler refuses the source.
CompiledKernel compile_kernel(CubinCache& cache, const Problem& problem, const KernelConfig& config,
                              const DeviceDescription& device, WeightLayout layout = WeightLayout::contiguous);

/// A kernel of any family, with the dispatch that some have before it. Belongs to the context that was current when it was made;
/// launching is thread-safe.
class GemmKernel {
 public:
  /// Loads `compiled` into the current context. Throws EnvironmentError when the driver refuses the cubin.
  GemmKernel(const Problem& problem, const KernelConfig& config, const CompiledKernel& compiled, int sm_count);

  /// Launches on `stream` with SMs x ctas_per_sm blocks; `max_sms` > 0 uses at most that many SMs, with one block on each, but
  /// never less than a cluster. Does not synchronise and can be captured. M = 0 launches nothing. Throws UsageError when M makes
  /// more tiles than a launch can count, or when a resource is missing.
  void launch(const abi::GroupedGemmArgs& args, const LaunchResources& resources, CUstream stream, int max_sms = 0) const;

  /// Bytes of LaunchResources::workspace for M rows.
  std::size_t workspace_bytes(std::int64_t M) const { return moe_tune::workspace_bytes(problem_, config_, M); }
  /// Whether a launch uses LaunchResources::queue.
  bool needs_queue() const { return config_.tile_source == TileSource::queue; }

  const KernelConfig& config() const { return config_; }
  int shared_bytes() const { return shared_bytes_; }
  /// Blocks per SM that the driver computes for the loaded kernel.
  int resident_blocks() const { return resident_blocks_; }

 private:
  std::int64_t most_tiles(int M) const;
  void launch_dispatch(const abi::GroupedGemmArgs& args, void* workspace, CUstream stream, int max_sms) const;

  Problem problem_;
  KernelConfig config_;
  int shared_bytes_;
  int sm_count_;
  Module module_;
  CUfunction function_;
  CUfunction dispatch_ = nullptr;  ///< null where there is none
  int resident_blocks_ = 0;
};

}  // namespace moe_tune
