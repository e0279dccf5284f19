// The Bench of a real machine: a pool of workers that compile, and one that owns the GPU or the emulated device.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tune/bench.hpp"
#include "runtime/tune/target.hpp"
#include "runtime/tune/worker_process.hpp"

namespace moe_tune {

struct WorkerBenchOptions {
  std::vector<std::string> command;        ///< how this executable is run as a worker, e.g. {"/proc/self/exe", "worker"}
  int jobs = 1;                            ///< parallel compilations
  Place place;                             ///< where workloads run
  std::uint64_t seed = 1;                  ///< of the order of launches
  int compile_limit_ms = 60'000;           ///< of one kernel
  int launch_limit_ms = 10'000;            ///< of one launch on a GPU
  int emulated_launch_limit_ms = 600'000;  ///< of one launch on the emulated device, which finds most hangs itself
  int set_up_limit_ms = 120'000;           ///< of filling the buffers and computing the reference
  std::int64_t compile_memory = std::int64_t{8} << 30;  ///< address space of a compiling worker, bytes
  const std::atomic<bool>* cancel = nullptr;            ///< not owned; may be null
};

/// Starts workers when they are needed and again after one ended. Every method but the constructor throws Cancelled when
/// `*cancel` gets set, and EnvironmentError when workers cannot be started.
class WorkerBench final : public Bench {
 public:
  explicit WorkerBench(WorkerBenchOptions options);

  std::vector<CompileOutcome> compile(const Problem& problem, std::span<const KernelConfig> configs,
                                      const DeviceDescription& device, const OnCompiled& on_compiled) override;
  void set_up(const Workload& workload) override;
  VerifyOutcome verify(const KernelConfig& config) override;
  TimeOutcome time(std::span<const KernelConfig> configs, int rounds) override;

 private:
  void ensure_set_up();
  bool emulated() const { return options_.place.device == DeviceKind::emulator; }
  void refill_later() { set_up_in_start_ = 0; }
  WorkerAnswer launch(const Json& request);
  AttemptStatus failure(const WorkerAnswer& answer);

  WorkerBenchOptions options_;
  std::vector<std::unique_ptr<WorkerProcess>> compilers_;
  WorkerProcess runner_;  ///< owns the device
  std::optional<Workload> workload_;
  int set_up_in_start_ = 0;  ///< the start of runner_ in which the workload was set up; 0: it must be set up again
  std::uint64_t time_calls_ = 0;
};

/// The live GPU `options.place.ordinal` as a worker sees it, so that this process never initialises CUDA; nothing where the
/// machine has no GPU, and then `*why` (unless null) says why. Throws EnvironmentError when no worker starts, NVRTC is missing,
/// or there is no GPU of that ordinal among those there are.
std::optional<Target> query_target(const WorkerBenchOptions& options, std::string* why = nullptr);

/// The version of the compiler that workers use, e.g. "13.0". Throws EnvironmentError when there is none.
std::string query_nvrtc(const WorkerBenchOptions& options);

}  // namespace moe_tune
