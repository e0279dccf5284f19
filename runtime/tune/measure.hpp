// One workload on the GPU of this process: buffers, reference, verification, timing. Runs in a worker; anything that must survive
// a crash or a hang of a kernel talks to one (worker_bench.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "moe_tune/config.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/launch/gemm_kernel.hpp"
#include "runtime/launch/utility_kernels.hpp"
#include "runtime/tune/bench.hpp"
#include "runtime/tune/clock_monitor.hpp"
#include "runtime/tune/emit_function.hpp"
#include "runtime/tune/workload.hpp"

namespace moe_tune {

/// Not thread-safe; every method makes the device's primary context current for its duration. Throws EnvironmentError when the
/// driver refuses something; after that the context may be unusable.
class Workbench {
 public:
  /// `emit` makes the source of candidates, emit_kernel when empty. `cache` must outlive the object.
  Workbench(int ordinal, CubinCache& cache, EmitFunction emit = {});
  ~Workbench();
  Workbench(const Workbench&) = delete;
  Workbench& operator=(const Workbench&) = delete;

  /// Allocates and fills the buffers, computes the float32 reference. The buffers of the workload before are freed first.
  void set_up(const Workload& workload);

  /// Told before a kernel is launched, with the index of its config: whoever watches then knows what is running.
  using OnLaunch = std::function<void(int index)>;

  /// Compiles and loads the kernel, poisons y, launches once and compares with the reference.
  Comparison verify(const KernelConfig& config, const OnLaunch& on_launch = {});

  /// Blocks per SM of the loaded kernel.
  int resident_blocks(const KernelConfig& config);

  /// `rounds` good rounds of all configs in random order, the L2 evicted before each launch.
  TimedRounds time(std::span<const KernelConfig> configs, int rounds, std::uint64_t seed, const OnLaunch& on_launch = {});

  /// Median time of a plain streaming read of `bytes` bytes (a multiple of 16, allocated for the call), microseconds: what a
  /// launch that must move as much can hope for.
  double stream_read_us(std::int64_t bytes, int rounds);

  const RoutedRows& rows() const;
  const DeviceInfo& device() const { return device_; }
  /// Device memory that can be allocated now.
  std::int64_t free_bytes() const;

 private:
  struct Buffers;

  GemmKernel& kernel(const KernelConfig& config);
  abi::GroupedGemmArgs arguments() const;
  const Buffers& buffers() const;

  DeviceInfo device_;
  CubinCache& cache_;
  EmitFunction emit_;
  PrimaryContext context_;
  std::unique_ptr<UtilityKernels> utility_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Buffers> buffers_;
  std::unordered_map<KernelConfig, GemmKernel, ConfigHash> kernels_;
  ClockMonitor clocks_;
};

}  // namespace moe_tune
