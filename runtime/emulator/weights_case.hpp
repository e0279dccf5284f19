// The tensors of one call of dW on the emulated device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/emulator/gemm_kernel.hpp"

namespace moe_tune::emulator {

/// Random inputs, dW full of poison or, with accumulate, of random values among poison, the reference. Of the spec x_padding,
/// y_padding (of dY), w_row_padding and w_expert_padding (of dW) count.
class WeightsCase {
 public:
  explicit WeightsCase(const CaseSpec& spec);

  const CaseSpec& spec() const { return spec_; }
  /// The status bits that the reference finds in the data.
  unsigned expected_status() const { return expected_status_; }
  /// (E, N, K), by the CPU.
  const std::vector<float>& reference() const { return reference_; }
  /// The tensors, at the addresses of args().
  GlobalMemory& memory() { return memory_; }
  const abi::GroupedGemmArgs& args() const { return args_; }

  /// Gives all elements of a row of X (as it lies) one bit pattern; the reference stays as it was.
  void set_x_row(int row, std::uint16_t bits);

  /// Gives dW what it has before a launch.
  void set_back();
  /// Sets dW back, poisons the workspace, clears the status, launches; returns the status bits. Throws KernelFault with a report,
  /// also for a queue counter that is not 0 afterwards.
  unsigned run(const GemmKernel& kernel, std::uint64_t seed);
  /// dW of the last run against the reference, and whether its padding kept its poison (if not, the row before counts as bad).
  Comparison compare() const;
  /// Of the elements of dW, which is not float32, how many are not what the reference is rounded to: 0 to 1.
  double rounded_otherwise() const;
  /// Whether dW of an expert, its padding included, has the bits that it had before.
  bool kept(int expert) const;

 private:
  /// Sets the elements of dW to random values, in `initial_`.
  void make_old_values();
  /// The bytes of an expert's dW and its padding.
  std::span<const std::byte> bytes_of(int expert, std::span<const std::byte> dw) const;

  std::int64_t element() const { return weight_element_bytes(spec_.problem); }
  std::int64_t row_stride() const { return spec_.problem.K + spec_.w_row_padding; }
  std::int64_t expert_stride() const { return spec_.problem.N * row_stride() + spec_.w_expert_padding; }

  CaseSpec spec_;
  GlobalMemory memory_;
  Allocation* x_;
  Allocation* w_;
  Allocation* workspace_;
  Allocation* queue_;
  Allocation* status_;
  abi::GroupedGemmArgs args_ = {};
  std::vector<std::byte> initial_;  ///< of dW
  std::vector<float> reference_;
  unsigned expected_status_ = 0;
};

}  // namespace moe_tune::emulator
