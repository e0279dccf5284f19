// A forward kernel on the emulated device, and the tensors of a call of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "generator/emit.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"
#include "runtime/emulator/launch.hpp"
#include "runtime/reference/case_spec.hpp"
#include "runtime/reference/comparison.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune::emulator {

/// SMs of the emulated device: few, so that blocks are few and each walks over several tiles.
inline constexpr int sm_count = 2;

/// The counterpart of moe_tune::ForwardKernel (runtime/launch/forward_kernel.hpp).
class ForwardKernel {
 public:
  /// Emits and builds. Throws UsageError when the config cannot serve the problem, EnvironmentError without a host compiler.
  ForwardKernel(const Problem& problem, const KernelConfigForward& config, WeightLayout layout = WeightLayout::contiguous);
  /// The same from a source of the caller's, for example a faulty one.
  ForwardKernel(const Problem& problem, const KernelConfigForward& config, std::string_view cuda_source);

  /// `args` with addresses of `memory`. Throws KernelFault with a report.
  void launch(GlobalMemory& memory, const abi::GroupedGemmArgs& args, std::uint64_t seed) const;

  const KernelConfigForward& config() const { return config_; }

 private:
  Problem problem_;
  KernelConfigForward config_;
  Kernel kernel_;
};

/// The tensors of one call: random inputs, an output full of poison, the reference. Weights of experts without rows stay zeros:
/// nobody reads them, and a large model's take long to make.
class ForwardCase {
 public:
  explicit ForwardCase(const CaseSpec& spec);

  const CaseSpec& spec() const { return spec_; }
  /// Where the tensors are.
  GlobalMemory& memory() { return memory_; }
  const abi::GroupedGemmArgs& args() const { return args_; }
  const std::vector<float>& reference() const { return reference_; }
  /// The status bits that the reference finds in the data.
  unsigned expected_status() const { return expected_status_; }

  /// Gives all elements of a row of x one bit pattern; the reference stays as it was.
  void set_x_row(int row, std::uint16_t bits);

  /// Poisons y, clears the status, launches; returns the status bits. Throws KernelFault with a report.
  unsigned run(const ForwardKernel& kernel, std::uint64_t seed);
  /// y of the last run against the reference, and whether the padding between its rows kept its poison (if not, the row before
  /// counts as bad).
  Comparison compare() const;
  /// The rows of y, without padding.
  std::vector<std::uint16_t> y() const;

 private:
  std::int64_t y_stride() const { return spec_.problem.N + spec_.y_padding; }

  CaseSpec spec_;
  GlobalMemory memory_;
  Allocation* x_;
  Allocation* y_;
  Allocation* status_;
  abi::GroupedGemmArgs args_ = {};       // device addresses
  abi::GroupedGemmArgs host_args_ = {};  // the same with host addresses
  std::vector<float> reference_;
  unsigned expected_status_ = 0;
};

}  // namespace moe_tune::emulator
