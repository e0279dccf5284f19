// One forward GEMM with its tensors on the device: random inputs, a poisoned output between guards, and the GPU's reference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/launch/device_memory.hpp"
#include "runtime/reference/case_spec.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

/// Keeps to the stream it is given, the default one unless said otherwise.
class ForwardCase {
 public:
  /// Allocates and fills the tensors and computes the reference.
  explicit ForwardCase(const CaseSpec& spec);

  const CaseSpec& spec() const { return spec_; }
  const abi::GroupedGemmArgs& args() const { return args_; }

  /// Poisons y and its guards and clears the status.
  void reset(CUstream stream = nullptr);
  /// Launches and waits; returns the status bits.
  unsigned run(const ForwardKernel& kernel, CUstream stream = nullptr, int max_sms = 0);
  unsigned status() const;
  /// Computes the reference again, after a change of the inputs.
  void refresh_reference();
  /// Overwrites device inputs; the same sizes as before.
  void set_m_sizes(const std::vector<std::int64_t>& m_sizes);
  void fill_x_rows(int first, int rows, std::uint16_t bits);

  Comparison compare() const;
  /// Whether all that is not a row of y still holds the poison: the rows around it and the padding between its rows.
  bool guards_intact() const;
  /// The rows of y, without padding.
  std::vector<std::uint16_t> download_y() const;
  std::vector<float> download_reference() const;

  /// Host copies of the inputs, for the CPU reference: `args` with host pointers into this object's copies.
  abi::GroupedGemmArgs download_inputs();

 private:
  int x_rows() const { return spec_.problem.permute_x ? spec_.tokens : spec_.M(); }
  int x_stride() const { return spec_.problem.K + spec_.x_padding; }
  int y_stride() const { return spec_.problem.N + spec_.y_padding; }
  int w_row_stride() const { return spec_.problem.K + spec_.w_row_padding; }
  std::int64_t w_stride() const { return std::int64_t{spec_.problem.N} * w_row_stride() + spec_.w_expert_padding; }
  /// Every row of y's buffer, guard rows and padding included.
  std::vector<std::uint16_t> download_y_buffer() const;

  CaseSpec spec_;
  DeviceBuffer x_, w_, y_, m_sizes_, gather_indices_, topk_weights_, status_, reference_;
  abi::GroupedGemmArgs args_ = {};
  std::vector<std::vector<char>> host_;
};

/// Runs the case and CHECKs (Catch2) status 0, every row of every expert, and the guards.
void check_forward(const CaseSpec& spec, const ForwardKernel& kernel, int max_sms = 0);
void check_result(const ForwardCase& forward);

}  // namespace moe_tune::test
