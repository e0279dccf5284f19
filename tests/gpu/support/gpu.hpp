// The GPU that the tests run on: its context, and kernels compiled for it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/launch/gemm_kernel.hpp"
#include "runtime/launch/utility_kernels.hpp"

namespace moe_tune::test {

/// What a forward kernel is compiled from.
struct KernelSpec {
  Problem problem;
  KernelConfig config;
  WeightLayout layout = WeightLayout::contiguous;
};

/// Device 0. Its primary context is current in the main thread as long as the process lives.
class Gpu {
 public:
  /// Made by the first call, in the main thread.
  static const Gpu& get();

  const std::string& arch() const { return arch_; }
  int sm_count() const { return info_.sm_count; }
  CUcontext context() const { return primary_.get(); }
  const DeviceDescription& description() const { return description_; }
  const UtilityKernels& utilities() const { return utilities_; }

  /// Compiles into the cubin cache on all cores, so that load() finds what it needs there.
  void compile_ahead(std::span<const KernelSpec> kernels) const;
  GemmKernel load(const KernelSpec& kernel) const;
  /// The kernel of the default config for `tokens`.
  KernelSpec default_kernel(const Problem& problem, int tokens) const;
  /// The same of a family; where the default is another's, the one that is predicted to be fastest.
  KernelSpec default_kernel(const Problem& problem, int tokens, Family family) const;
  /// The families that serve a problem here.
  std::vector<Family> families(const Problem& problem) const;

 private:
  Gpu();

  DeviceInfo info_;
  DeviceDescription description_;
  std::string arch_;
  PrimaryContext primary_;
  CurrentContext current_;
  UtilityKernels utilities_;
};

}  // namespace moe_tune::test
