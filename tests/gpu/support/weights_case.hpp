// One dW with its tensors on the device: random inputs, dW poisoned or of random values between guards, and the GPU's reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/rows_maps.hpp"
#include "runtime/reference/case_spec.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

/// Keeps to the default stream. Of the spec x_padding, y_padding (of dY), w_row_padding and w_expert_padding (of dW) count.
class WeightsCase {
 public:
  /// Allocates and fills the tensors and computes the reference.
  explicit WeightsCase(const CaseSpec& spec);

  const CaseSpec& spec() const { return spec_; }
  /// Sets dW and its guards back, poisons the workspace, clears the status, launches and waits; returns the status bits.
  unsigned run(const GemmKernel& kernel);
  /// What the launches left in the queue counter; must be 0.
  unsigned queue() const;
  /// Gives all elements of consecutive rows of X (as it lies) one bit pattern; the reference stays as it was.
  void fill_x_rows(int first, int rows, std::uint16_t bits);

  Comparison compare() const;
  /// Whether all that is not an element of dW still holds the poison.
  bool guards_intact() const;
  /// dW with its padding and guards.
  std::vector<std::byte> download() const;
  /// Whether dW of an expert, its padding included, has the bits that it had before.
  bool kept(int expert) const;

 private:
  /// The first byte of a row of dW.
  std::int64_t row_offset(int expert, int n) const { return (guard + expert * expert_stride() + n * row_stride()) * element(); }
  std::int64_t element() const { return weight_element_bytes(spec_.problem); }
  void make_old_values();

  static constexpr std::int64_t guard = 64 * 1024;  // elements before and after dW
  std::int64_t row_stride() const { return spec_.problem.K + spec_.w_row_padding; }
  std::int64_t expert_stride() const { return spec_.problem.N * row_stride() + spec_.w_expert_padding; }
  int x_stride() const { return spec_.problem.K + spec_.x_padding; }

  CaseSpec spec_;
  std::vector<std::byte> initial_;  // of dw_
  DeviceBuffer x_, dy_, dw_, reference_, m_sizes_, gather_indices_, status_, workspace_, queue_;
  abi::GroupedGemmArgs args_ = {};
};

/// Runs the case and CHECKs (Catch2) status 0, every row of every expert, and the guards.
void check_weights(const CaseSpec& spec, const GemmKernel& kernel);

}  // namespace moe_tune::test
