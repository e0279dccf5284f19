// One workload on the emulated device of this process: tensors, reference, verification. Runs in a worker, as its counterpart for
// GPUs (measure.hpp) does: a kernel that follows a wild address ends the process.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "moe_tune/config.hpp"
#include "runtime/emulator/gemm_kernel.hpp"
#include "runtime/emulator/weights_case.hpp"
#include "runtime/tune/emit_function.hpp"
#include "runtime/tune/protocol.hpp"
#include "runtime/tune/workload.hpp"

namespace moe_tune {

/// Not thread-safe.
class EmulatedWorkbench {
 public:
  /// `emit` makes the source of candidates, emit_kernel when empty. Throws EnvironmentError when there is no host compiler.
  explicit EmulatedWorkbench(EmitFunction emit = {});

  /// Makes the tensors and computes the float32 reference. Those of the workload before are freed first. The rows that `workload`
  /// gives to neighbouring experts go to one of them, until place.experts have rows. Of dW the kernels are made for those and one
  /// without rows: every other one would store a weight of zeros.
  void set_up(const Workload& workload, const Place& place);

  /// Told before a launch, with its schedule.
  using OnLaunch = std::function<void(int schedule)>;

  /// Builds the kernel and runs it into a poisoned output under the schedules 0 to place.schedules - 1, until one goes wrong.
  /// Throws KernelFault with a report, UsageError when the kernel cannot be built.
  VerifyReply verify(const KernelConfig& config, const OnLaunch& on_launch = {});

 private:
  const emulator::GemmKernel& kernel(const KernelConfig& config);
  template <class Case>
  VerifyReply verify(Case& tensors, const emulator::GemmKernel& candidate, const OnLaunch& on_launch) const;

  EmitFunction emit_;
  int schedules_ = 0;
  std::optional<emulator::GemmCase> rows_;        ///< of forward and dX
  std::optional<emulator::WeightsCase> weights_;  ///< of dW
  Problem kernels_of_;
  std::unordered_map<KernelConfig, emulator::GemmKernel, ConfigHash> kernels_;  ///< of that problem
};

}  // namespace moe_tune
