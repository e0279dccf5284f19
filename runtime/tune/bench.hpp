// What the search asks of a machine: compile, verify, time. The real one runs workers (worker_bench.hpp); tests script one.
#pragma once

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/error.hpp"
#include "runtime/tune/workload.hpp"
#include "tuning_db/journal.hpp"

namespace moe_tune {

/// Thrown by a Bench when the caller's cancel flag is set: what was finished before it counts.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled") {}
};

/// Thrown by Bench::set_up where the emulated device cannot run at all, whatever the workload: for want of a host compiler.
class NoEmulatedDevice : public EnvironmentError {
 public:
  using EnvironmentError::EnvironmentError;
};

struct CompileOutcome {
  AttemptStatus status = AttemptStatus::compiled;  ///< compiled, spilled, compile_error, compile_timeout or crashed
  Resources resources;                             ///< smem includes dynamic shared memory; ctas_per_sm is left at 0
  std::string message;                             ///< why not, for people
  double seconds = 0;
};

struct VerifyOutcome {
  AttemptStatus status = AttemptStatus::verified;  ///< verified, wrong, compile_error, crashed, fault or hung
  Verification verification;
  int resident_blocks = 0;  ///< blocks per SM as the driver computes them; 0 on the emulated device
  std::string message;
};

/// Samples in microseconds, taken in rounds: every config once per round, in random order. A round that was disturbed
/// (thermal or hardware slowdown) is dropped as a whole, so that the samples of a round always belong together.
struct TimedRounds {
  std::vector<std::vector<double>> rounds;  ///< [round][config]
  int discarded = 0;                        ///< samples in the dropped rounds
  int sm_mhz = 0;                           ///< median SM clock; 0 where it cannot be read
};

struct TimeOutcome {
  TimedRounds timed;                            ///< complete unless there is a culprit
  int culprit = -1;                             ///< index of the config that was running when the worker died or hung; -1: none
  AttemptStatus status = AttemptStatus::timed;  ///< timed, or what the culprit did: crashed or hung
  std::string message;
};

class Bench {
 public:
  virtual ~Bench() = default;

  using OnCompiled = std::function<void(std::size_t index, const CompileOutcome&)>;

  /// Compiles in parallel, each for the arch of its family on `device`; outcome i is that of configs[i], `on_compiled` is told of
  /// each as it is finished. Throws EnvironmentError for what is no candidate's fault.
  virtual std::vector<CompileOutcome> compile(const Problem& problem, std::span<const KernelConfig> configs,
                                              const DeviceDescription& device, const OnCompiled& on_compiled) = 0;

  /// Chooses the workload that verify and time run, on a GPU or on the emulated device: buffers are filled and the reference is
  /// computed. Throws EnvironmentError when it cannot be set up (memory), NoEmulatedDevice when none can.
  virtual void set_up(const Workload& workload) = 0;

  /// Launches into a poisoned output and compares per row and per expert. Throws EnvironmentError for what is no candidate's
  /// fault, as time() does.
  virtual VerifyOutcome verify(const KernelConfig& config) = 0;

  /// `rounds` rounds of all `configs`, cold L2. Needs a GPU: the emulated device has no time.
  virtual TimeOutcome time(std::span<const KernelConfig> configs, int rounds) = 0;
};

}  // namespace moe_tune
