// A grouped-GEMM kernel on the emulated device, and the tensors of a call of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "generator/emit.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"
#include "runtime/emulator/launch.hpp"
#include "runtime/launch/rows_maps.hpp"
#include "runtime/reference/case_spec.hpp"
#include "runtime/reference/comparison.hpp"

namespace moe_tune::emulator {

/// SMs of the emulated device, with clusters for each block that a cluster has: few, so that blocks are few and each walks over
/// several tiles.
inline constexpr int sm_count = 2;

/// The counterpart of moe_tune::GemmKernel (runtime/launch/gemm_kernel.hpp).
class GemmKernel {
 public:
  /// Emits and builds. Throws UsageError when the config cannot serve the problem, EnvironmentError without a host compiler.
  GemmKernel(const Problem& problem, const KernelConfig& config, WeightLayout layout = WeightLayout::contiguous);
  /// The same from a source of the caller's, for example a faulty one.
  GemmKernel(const Problem& problem, const KernelConfig& config, std::string_view cuda_source);

  /// `args` and `resources` with addresses of `memory`. Throws KernelFault with a report.
  void launch(GlobalMemory& memory, const abi::GroupedGemmArgs& args, const LaunchResources& resources, std::uint64_t seed) const;

  const KernelConfig& config() const { return config_; }
  /// Bytes of LaunchResources::workspace for M rows.
  std::size_t workspace_bytes(std::int64_t M) const { return moe_tune::workspace_bytes(problem_, config_, M); }

 private:
  Problem problem_;
  KernelConfig config_;
  Kernel kernel_;
};

/// The tensors of one call: random inputs, outputs full of poison, the references. Weights of experts without rows stay zeros:
/// nobody reads them, and a large model's take long to make.
class GemmCase {
 public:
  explicit GemmCase(const CaseSpec& spec);

  const CaseSpec& spec() const { return spec_; }
  /// Where the tensors are.
  GlobalMemory& memory() { return memory_; }
  const abi::GroupedGemmArgs& args() const { return args_; }
  const std::vector<float>& reference() const { return y_.reference; }
  /// The status bits that the reference finds in the data.
  unsigned expected_status() const { return expected_status_; }

  /// Gives all elements of a row of x one bit pattern; the reference stays as it was.
  void set_x_row(int row, std::uint16_t bits);

  /// Poisons the outputs and the workspace, clears the status, launches; returns the status bits. Throws KernelFault with a
  /// report, also for a queue counter that is not 0 afterwards.
  unsigned run(const GemmKernel& kernel, std::uint64_t seed);
  /// The outputs of the last run against the reference, and whether the padding between their rows kept its poison (if not, the
  /// row before counts as bad).
  Comparison compare() const;
  /// The rows of y and of pre_activation, without padding.
  std::vector<std::uint16_t> y() const { return rows_of(y_); }
  std::vector<std::uint16_t> pre_activation() const { return rows_of(pre_activation_); }

 private:
  /// An output and what it is compared with.
  struct Output {
    int columns = 0;
    std::int64_t stride = 0;  ///< elements
    Allocation* memory = nullptr;
    std::vector<float> reference;
  };

  Output allocate_output(const char* name, int columns, int padding);
  /// compare_rows() of an output, the padding between its rows included; `problem` and `args` have it as y.
  Comparison compare(const Output& output, const Problem& problem, const abi::GroupedGemmArgs& args) const;
  std::vector<std::uint16_t> rows_of(const Output& output) const;

  CaseSpec spec_;
  GlobalMemory memory_;
  Allocation* x_;
  Output y_;
  Output pre_activation_;  ///< without memory unless the problem keeps it
  Allocation* workspace_;
  Allocation* queue_;
  Allocation* status_;
  abi::GroupedGemmArgs args_ = {};       // device addresses
  abi::GroupedGemmArgs host_args_ = {};  // the same with host addresses
  unsigned expected_status_ = 0;
};

}  // namespace moe_tune::emulator
