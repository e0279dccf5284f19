// One forward GEMM with its tensors on the device: random inputs, poisoned outputs between guards, and the GPU's references.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "generator/rows_gemm.hpp"
#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/rows_maps.hpp"
#include "runtime/reference/case_spec.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

/// Keeps to the stream it is given, the default one unless said otherwise.
class GemmCase {
 public:
  /// Allocates and fills the tensors and computes the reference.
  explicit GemmCase(const CaseSpec& spec);

  const CaseSpec& spec() const { return spec_; }
  const abi::GroupedGemmArgs& args() const { return args_; }

  /// For launches one after the other.
  LaunchResources resources() const { return {workspace_.get(), static_cast<unsigned*>(queue_.get())}; }

  /// Poisons the outputs, their guards and the workspace, and clears the status.
  void reset(CUstream stream = nullptr);
  /// Launches and waits; returns the status bits.
  unsigned run(const GemmKernel& kernel, CUstream stream = nullptr, int max_sms = 0);
  unsigned status() const;
  /// What the launches left in the queue counter; must be 0.
  unsigned queue() const;
  /// Computes the references again, after a change of the inputs.
  void refresh_reference();
  /// Overwrites device inputs; the same sizes as before.
  void set_m_sizes(const std::vector<std::int64_t>& m_sizes);
  void fill_x_rows(int first, int rows, std::uint16_t bits);

  /// Both outputs, when there are two.
  Comparison compare() const;
  /// Whether all that is not a row of an output still holds the poison: the rows around it and the padding between its rows.
  bool guards_intact() const;
  /// The rows of y, without padding.
  std::vector<std::uint16_t> download_y() const { return download_rows(y_); }
  std::vector<std::uint16_t> download_pre_activation() const { return download_rows(pre_activation_); }
  std::vector<float> download_reference() const { return download_reference(y_); }
  std::vector<float> download_pre_activation_reference() const { return download_reference(pre_activation_); }

  /// Host copies of the inputs, for the CPU reference: `args` with host pointers into this object's copies.
  abi::GroupedGemmArgs download_inputs();

 private:
  int x_rows() const {
    const GatheredRows gathered = gathered_rows(spec_.problem);
    return gathered.any ? spec_.M() / gathered.slots_per_row : spec_.M();
  }
  int x_stride() const { return rows_gemm(spec_.problem).reduction + spec_.x_padding; }
  int w_row_stride() const { return spec_.problem.K + spec_.w_row_padding; }
  std::int64_t w_stride() const { return std::int64_t{spec_.problem.N} * w_row_stride() + spec_.w_expert_padding; }

  /// An output between guard rows, and what it is compared with.
  struct Output {
    int columns = 0;
    int stride = 0;  ///< elements
    DeviceBuffer memory;
    DeviceBuffer reference;

    /// Of its first row.
    void* rows() const;
  };

  Output allocate_output(int columns, int padding) const;
  bool guards_intact(const Output& output) const;
  std::vector<std::uint16_t> download_rows(const Output& output) const;
  std::vector<float> download_reference(const Output& output) const;

  CaseSpec spec_;
  DeviceBuffer x_, w_, m_sizes_, gather_indices_, topk_weights_, status_, workspace_, queue_;
  Output y_;
  Output pre_activation_;  ///< without memory unless the problem keeps it
  abi::GroupedGemmArgs args_ = {};
  std::vector<std::vector<char>> host_;
};

/// Runs the case and CHECKs (Catch2) status 0, every row of every expert, and the guards.
void check_kernel(const CaseSpec& spec, const GemmKernel& kernel, int max_sms = 0);
void check_result(const GemmCase& forward);

/// Whether this GPU runs kernels of the sm90 family; WARNs (Catch2) when not.
bool has_sm90();

}  // namespace moe_tune::test
