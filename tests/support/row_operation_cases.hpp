// Calls of the row operations, each against the CPU reference.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/reference/comparison.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/row_operations.hpp"
#include "tests/support/row_case.hpp"

namespace moe_tune::test {

/// What a call of permute_rows has.
struct PermuteOptions {
  bool token_order = true;  ///< x is in token order; otherwise in slot order
  bool all_rows = false;    ///< without m_sizes
  bool scaled = false;
  SlotRows slot_rows = SlotRows::absent;  ///< by these; otherwise by gather_indices
};

/// Of the spec x_padding, y_padding, topk_weights_f32 and K, the columns, count.
class PermuteRowsCase : public RowCase<abi::PermuteRowsArgs> {
 public:
  PermuteRowsCase(RowDevice& device, const CaseSpec& spec, const PermuteOptions& options) : RowCase(device, spec) {
    const int slots_per_row = options.token_order ? spec.problem.top_k : 1;
    const GuardedRows x = random_rows("x", spec.M() / slots_per_row, columns(), spec.x_padding, 1.0f, spec.seed);
    rows_ = output_rows("rows", spec.M(), columns(), spec.y_padding);
    place(&abi::GroupedGemmArgs::x, *x.buffer);
    place(&abi::GroupedGemmArgs::y, *rows_.buffer);
    place_row_bytes(&abi::GroupedGemmArgs::x_row_bytes, x);
    place_row_bytes(&abi::GroupedGemmArgs::y_row_bytes, rows_);
    if (options.scaled) place_weights();
    if (options.slot_rows == SlotRows::absent) {
      place_indices();
      if (!options.all_rows) place_m_sizes();
    } else {
      place(&abi::PermuteRowsArgs::slot_rows, buffer("slot_rows", slot_rows(spec, options.slot_rows), false));
    }
    set(&abi::PermuteRowsArgs::columns, columns());
    set(&abi::PermuteRowsArgs::slots_per_row, slots_per_row);
    reference_ = undefined_rows(rows_);
    expected_status_ = reference_permute_rows(dtype(), host_args_, reference_);
  }

 protected:
  std::string judge() const override { return judge_copies("rows", rows_, reference_); }
  unsigned expected_status() const override { return expected_status_; }

 private:
  GuardedRows rows_;
  std::vector<std::uint16_t> reference_;
  unsigned expected_status_ = 0;
};

/// Of the spec x_padding (of the rows), y_padding (of out) and K, the columns, count.
class UnpermuteRowsCase : public RowCase<abi::UnpermuteRowsArgs> {
 public:
  UnpermuteRowsCase(RowDevice& device, const CaseSpec& spec, bool all_rows = false) : RowCase(device, spec) {
    const GuardedRows rows = random_rows("rows", spec.M(), columns(), spec.x_padding, 1.0f, spec.seed);
    out_ = output_rows("out", spec.M(), columns(), spec.y_padding);
    place(&abi::GroupedGemmArgs::x, *rows.buffer);
    place(&abi::GroupedGemmArgs::y, *out_.buffer);
    place_row_bytes(&abi::GroupedGemmArgs::x_row_bytes, rows);
    place_row_bytes(&abi::GroupedGemmArgs::y_row_bytes, out_);
    place_indices();
    if (!all_rows) place_m_sizes();
    set(&abi::UnpermuteRowsArgs::columns, columns());
    reference_ = undefined_rows(out_);
    expected_status_ = reference_unpermute_rows(host_args_, reference_);
  }

 protected:
  std::string judge() const override { return judge_copies("out", out_, reference_); }
  unsigned expected_status() const override { return expected_status_; }

 private:
  GuardedRows out_;
  std::vector<std::uint16_t> reference_;
  unsigned expected_status_ = 0;
};

/// Of the spec x_padding, y_padding (of out) and K, the columns of out, count.
class ActAndMulCase : public RowCase<abi::ActAndMulArgs> {
 public:
  ActAndMulCase(RowDevice& device, const CaseSpec& spec, bool all_rows = false) : RowCase(device, spec) {
    x_ = random_rows("x", spec.M(), columns() * 2, spec.x_padding, 2.0f, spec.seed);
    out_ = output_rows("out", spec.M(), columns(), spec.y_padding);
    place(&abi::GroupedGemmArgs::x, *x_.buffer);
    place(&abi::GroupedGemmArgs::y, *out_.buffer);
    place_row_bytes(&abi::GroupedGemmArgs::x_row_bytes, x_);
    place_row_bytes(&abi::GroupedGemmArgs::y_row_bytes, out_);
    if (!all_rows) place_m_sizes();
    set(&abi::ActAndMulArgs::columns, columns());
    reference_ = reference_act_and_mul(dtype(), host_args_);
  }

  /// Gives all gates of a row one value.
  void set_gates(int row, float value) {
    auto* first = static_cast<std::uint16_t*>(x_.buffer->host()) + std::int64_t{row} * x_.stride;
    std::fill_n(first, columns(), from_float(value, dtype()));
    reference_ = reference_act_and_mul(dtype(), host_args_);
  }

 protected:
  std::string judge() const override { return judge_rows("out", out_, reference_.out, reference_.defined_rows); }
  unsigned expected_status() const override { return reference_.status; }

 private:
  GuardedRows x_;
  GuardedRows out_;
  ActAndMulReference reference_;
};

/// Which rows a call of combine_rows adds, and to what.
struct CombineOptions {
  bool weighted = true;
  bool addend = false;
  bool in_place = false;  ///< the addend is out
  SlotRows slot_rows = SlotRows::absent;
  bool expert_order = false;
  std::optional<int> token_count = std::nullopt;
};

/// Of the spec x_padding (of the rows), y_padding (of out), pre_activation_padding (of the addend), topk_weights_f32,
/// gather_indices (in expert order) and K, the columns, count. Rows and weights that must not be read are NaN.
class CombineRowsCase : public RowCase<abi::CombineRowsArgs> {
 public:
  CombineRowsCase(RowDevice& device, const CaseSpec& spec, const CombineOptions& options) : RowCase(device, spec) {
    rows_ = random_rows("rows", spec.M(), columns(), spec.x_padding, 1.0f, spec.seed);
    out_ = options.in_place ? random_rows("out", spec.tokens, columns(), spec.y_padding, 1.0f, spec.seed + 1, true)
                            : output_rows("out", spec.tokens, columns(), spec.y_padding);
    place(&abi::GroupedGemmArgs::x, *rows_.buffer);
    place(&abi::GroupedGemmArgs::y, *out_.buffer);
    place_row_bytes(&abi::GroupedGemmArgs::x_row_bytes, rows_);
    place_row_bytes(&abi::GroupedGemmArgs::y_row_bytes, out_);
    if (options.weighted) place_weights();
    if (options.addend) {
      const GuardedRows addend =
          options.in_place ? out_
                           : random_rows("addend", spec.tokens, columns(), spec.pre_activation_padding, 1.0f, spec.seed + 1);
      place(&abi::CombineRowsArgs::addend, *addend.buffer);
      set(&abi::CombineRowsArgs::addend_row_bytes, addend.row_bytes());
    }
    if (options.slot_rows != SlotRows::absent) place_slot_rows(options);
    if (options.token_count)
      place(&abi::CombineRowsArgs::token_count, buffer("token_count", std::vector<int>{*options.token_count}, false));
    set(&abi::CombineRowsArgs::expert_order, options.expert_order);
    set(&abi::CombineRowsArgs::columns, columns());
    set(&abi::CombineRowsArgs::tokens, spec.tokens);
    set(&abi::CombineRowsArgs::top_k, spec.problem.top_k);
    reference_ = reference_combine_rows(dtype(), host_args_);
    restore();
  }

  /// Makes an element of a slot's row NaN. The reference stays as it was.
  void spoil(int slot, int column) {
    static_cast<std::uint16_t*>(rows_.buffer->host())[std::int64_t{slot} * rows_.stride + column] = 0xffff;
  }
  /// Whether an element of the output is NaN.
  bool is_nan(int token, int column) const {
    const std::vector<std::byte> now = out_.buffer->download();
    const auto index = static_cast<std::size_t>(token) * static_cast<std::size_t>(out_.stride) + static_cast<std::size_t>(column);
    return std::isnan(to_float(*GuardedBuffer::at<std::uint16_t>(now, index), dtype()));
  }

 protected:
  std::string judge() const override { return judge_rows("out", out_, reference_.out, reference_.defined_rows); }
  unsigned expected_status() const override { return reference_.status; }

 private:
  void place_slot_rows(const CombineOptions& options) {
    const std::vector<int> all = slot_rows(spec_, SlotRows::all);
    const std::vector<int> given = slot_rows(spec_, options.slot_rows);
    for (std::size_t slot = 0; slot < given.size(); ++slot) {
      if (given[slot] < 0) leave_out(options.expert_order ? all[slot] : static_cast<int>(slot), static_cast<int>(slot));
    }
    place(&abi::CombineRowsArgs::slot_rows, buffer("slot_rows", given, false));
  }
  /// Spoils what nobody may read.
  void leave_out(int row, int slot) {
    spoil(row, columns() - 1);
    if (host_args_.gemm.topk_weights == nullptr) return;
    void* const weights = const_cast<void*>(host_args_.gemm.topk_weights);
    if (spec_.topk_weights_f32) {
      static_cast<std::uint32_t*>(weights)[slot] = 0xffffffff;
    } else {
      static_cast<std::uint16_t*>(weights)[slot] = 0xffff;
    }
  }

  GuardedRows rows_;
  GuardedRows out_;
  CombineRowsReference reference_;
};

/// What a call of swiglu_gradient has and wants.
struct SwigluOptions {
  bool gathered = true;
  bool all_rows = false;  ///< without m_sizes
  bool weighted = true;
  bool activation = true;
  bool d_topk_weights = true;
  bool d_topk_weights_f32 = true;
  bool in_place = false;
  bool scaled_input = false;
  float gate_scale = 2.0f;
};

/// Of the spec x_padding (of d_activation), y_padding (of d_pre_activation and activation), pre_activation_padding,
/// topk_weights_f32 and K, the columns of d_activation, count.
class SwigluGradientCase : public RowCase<abi::SwigluGradientArgs> {
 public:
  SwigluGradientCase(RowDevice& device, const CaseSpec& spec, const SwigluOptions& options)
      : RowCase(device, spec), options_(options) {
    const int M = spec.M();
    gradient_ = random_rows("d_activation", M, columns(), spec.x_padding, 1.0f, spec.seed, options.in_place);
    pre_ = random_rows("pre_activation", M, columns() * 2, spec.pre_activation_padding, options.gate_scale, spec.seed + 1,
                       options.in_place);
    d_pre_ = options.in_place ? pre_ : output_rows("d_pre_activation", M, columns() * 2, spec.y_padding);
    place(&abi::GroupedGemmArgs::x, *gradient_.buffer);
    place(&abi::GroupedGemmArgs::pre_activation, *pre_.buffer);
    place(&abi::GroupedGemmArgs::y, *d_pre_.buffer);
    place_row_bytes(&abi::GroupedGemmArgs::x_row_bytes, gradient_);
    place_row_bytes(&abi::GroupedGemmArgs::pre_activation_row_bytes, pre_);
    place_row_bytes(&abi::GroupedGemmArgs::y_row_bytes, d_pre_);
    if (options.activation) {
      activation_ = options.in_place ? gradient_ : output_rows("activation", M, columns(), spec.y_padding);
      device_args_.activation = activation_.buffer->address();
      set(&abi::SwigluGradientArgs::activation_row_bytes, activation_.row_bytes());
    }
    if (options.d_topk_weights) {
      const auto count = static_cast<std::size_t>(M);
      d_weights_ = options.d_topk_weights_f32 ? &buffer("d_topk_weights", std::vector<std::uint32_t>(count, 0xffffffff), true)
                                              : &buffer("d_topk_weights", std::vector<std::uint16_t>(count, 0xffff), true);
      device_args_.d_topk_weights = d_weights_->address();
      set(&abi::SwigluGradientArgs::d_topk_weights_f32, options.d_topk_weights_f32);
    }
    if (options.weighted) place_weights();
    if (options.gathered) place_indices();
    if (!options.all_rows) place_m_sizes();
    set(&abi::SwigluGradientArgs::scaled_input, options.scaled_input);
    set(&abi::SwigluGradientArgs::columns, columns());
    compute_reference();
  }

  /// Gives all gates of a row one value.
  void set_gates(int row, float value) {
    auto* first = static_cast<std::uint16_t*>(pre_.buffer->host()) + std::int64_t{row} * pre_.stride;
    std::fill_n(first, columns(), from_float(value, dtype()));
    compute_reference();
  }
  /// Makes an element of d_activation NaN; the reference stays as it was.
  void spoil(int row, int column) {
    static_cast<std::uint16_t*>(gradient_.buffer->host())[std::int64_t{row} * gradient_.stride + column] = 0xffff;
  }
  const SwigluGradientReference& reference() const { return reference_; }

 protected:
  std::string judge() const override {
    std::string complaint = judge_rows("d_pre_activation", d_pre_, reference_.d_pre_activation, reference_.defined_rows);
    if (complaint.empty() && options_.activation)
      complaint = judge_rows("activation", activation_, reference_.activation, reference_.defined_rows);
    if (complaint.empty() && options_.d_topk_weights)
      complaint = options_.d_topk_weights_f32 ? judge_d_weights<float>() : judge_d_weights<std::uint16_t>();
    return complaint;
  }
  unsigned expected_status() const override { return reference_.status; }

 private:
  void compute_reference() { reference_ = reference_swiglu_gradient(dtype(), host_args_); }

  float value_of(float value) const { return value; }
  float value_of(std::uint16_t bits) const { return to_float(bits, dtype()); }

  template <class T>
  std::string judge_d_weights() const {
    const std::vector<std::byte> now = d_weights_->download();
    const double rounding = sizeof(T) == 4 ? 0 : row_tolerance(dtype());
    for (std::size_t slot = 0; slot < reference_.defined_slots.size(); ++slot) {
      if (!reference_.defined_slots[slot]) continue;
      const double expected = reference_.d_topk_weights[slot];
      const double error = std::abs(value_of(*GuardedBuffer::at<T>(now, slot)) - expected);
      const double bound = rounding * std::abs(expected) + 1e-5 * reference_.summed_size[slot] + rounding_of_subnormals(dtype());
      if (!(error <= bound)) return fmt::format("d_topk_weights: slot {} is off by {}", slot, error);
    }
    const bool untouched = d_weights_->untouched<T>(now, [&](std::size_t slot) { return reference_.defined_slots[slot]; });
    return untouched ? "" : "d_topk_weights: a slot without a row was written";
  }

  SwigluOptions options_;
  GuardedRows gradient_;
  GuardedRows pre_;
  GuardedRows d_pre_;
  GuardedRows activation_;
  GuardedBuffer* d_weights_ = nullptr;
  SwigluGradientReference reference_;
};

}  // namespace moe_tune::test
