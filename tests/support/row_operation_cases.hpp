// Calls of the row operations with their tensors between guards, on whatever device runs the kernels, against the CPU reference.
// Over 500 lines: five operations, each with its tensors and its judge.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/reference/case_spec.hpp"
#include "runtime/reference/comparison.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/random.hpp"
#include "runtime/reference/routing_weights.hpp"
#include "runtime/reference/row_operations.hpp"
#include "tests/support/guarded_buffer.hpp"

namespace moe_tune::test {

/// Kernels run in order, and have ended when a method returns.
class RowDevice : public virtual TestDevice {
 public:
  virtual void launch(DType dtype, const abi::PermuteRowsArgs& args) = 0;
  virtual void launch(DType dtype, const abi::UnpermuteRowsArgs& args) = 0;
  virtual void launch(DType dtype, const abi::ActAndMulArgs& args) = 0;
  virtual void launch(DType dtype, const abi::CombineRowsArgs& args) = 0;
  virtual void launch(DType dtype, const abi::SwigluGradientArgs& args) = 0;
};

/// Rows of 16-bit numbers, whose padding is poison as well.
struct GuardedRows {
  int rows = 0;
  int columns = 0;
  int stride = 0;
  GuardedBuffer* buffer = nullptr;

  int row_bytes() const { return stride * 2; }
};

/// One call: its tensors on the device, and again on the host for the reference.
template <class Args>
class RowCase {
 public:
  RowCase(RowDevice& device, const CaseSpec& spec)
      : device_(device), spec_(spec), status_(&buffer<unsigned>("status", {0}, true)) {
    device_args_.gemm.M = host_args_.gemm.M = spec.M();
    device_args_.gemm.m_sizes_64 = host_args_.gemm.m_sizes_64 = spec.m_sizes_64;
    device_args_.gemm.gather_indices_64 = host_args_.gemm.gather_indices_64 = spec.gather_indices_64;
    device_args_.gemm.topk_weights_f32 = host_args_.gemm.topk_weights_f32 = spec.topk_weights_f32;
    device_args_.gemm.status = static_cast<unsigned*>(status_->address());
  }
  virtual ~RowCase() = default;

  /// Launches on memory as it was at first; what is wrong with it afterwards, or nothing.
  std::string run() {
    restore();
    device_.launch(dtype(), device_args_);
    return check();
  }
  void restore() {
    for (GuardedBuffer& buffer : buffers_) buffer.restore();
  }
  /// The same after a launch by someone else.
  std::string check() const {
    const std::string complaint = judge();
    if (!complaint.empty()) return fmt::format("{}: {}", spec_.describe(), complaint);
    const std::vector<std::byte> now = status_->download();
    const unsigned status = *GuardedBuffer::at<unsigned>(now, 0);
    if (status == expected_status()) return "";
    return fmt::format("{}: status {}, where {} was expected", spec_.describe(), status, expected_status());
  }

  /// All that the device has: two runs must give the same.
  std::vector<std::vector<std::byte>> memory() const {
    std::vector<std::vector<std::byte>> all;
    for (const GuardedBuffer& buffer : buffers_) all.push_back(buffer.download());
    return all;
  }

  const Args& args() const { return device_args_; }

 protected:
  virtual std::string judge() const = 0;
  virtual unsigned expected_status() const = 0;

  DType dtype() const { return spec_.problem.dtype; }
  int columns() const { return spec_.problem.K; }

  /// Sets a pointer of the arguments on both sides.
  template <class Pointer>
  void place(Pointer abi::GroupedGemmArgs::*member, GuardedBuffer& buffer) {
    device_args_.gemm.*member = buffer.address();
    host_args_.gemm.*member = buffer.host();
  }
  void place_row_bytes(int abi::GroupedGemmArgs::*member, const GuardedRows& rows) {
    device_args_.gemm.*member = host_args_.gemm.*member = rows.row_bytes();
  }
  /// The same of a number.
  void set(int Args::*member, int value) { device_args_.*member = host_args_.*member = value; }

  void place_m_sizes() {
    place_integers(&abi::GroupedGemmArgs::m_sizes, "m_sizes", spec_.m_sizes, spec_.m_sizes_64);
    set(&Args::E, spec_.problem.E);
  }
  void place_indices() {
    place_integers(&abi::GroupedGemmArgs::gather_indices, "gather_indices", spec_.gather_indices, spec_.gather_indices_64);
  }
  void place_weights() {
    const auto count = static_cast<std::size_t>(spec_.M());
    place(&abi::GroupedGemmArgs::topk_weights, spec_.topk_weights_f32
                                                   ? buffer("topk_weights", routing_weights(count), false)
                                                   : buffer("topk_weights", routing_weights(count, dtype()), false));
  }

  template <class T>
  GuardedBuffer& buffer(const char* name, const std::vector<T>& content, bool written) {
    return buffers_.emplace_back(device_, name, std::as_bytes(std::span(content)), written);
  }

  GuardedRows random_rows(const char* name, int rows, int columns, int padding, float scale, std::uint32_t seed,
                          bool written = false) {
    std::vector<std::uint16_t> content = poisoned(rows, columns, padding);
    std::vector<std::uint16_t> row(static_cast<std::size_t>(columns));
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) {
        const float value = random_normal(seed, static_cast<std::uint64_t>(r) * static_cast<std::uint64_t>(columns) + c);
        row[static_cast<std::size_t>(c)] = from_float(value * scale, dtype());
      }
      std::copy(row.begin(), row.end(), content.begin() + std::int64_t{r} * (columns + padding));
    }
    return {rows, columns, columns + padding, &buffer(name, content, written)};
  }
  /// What is wrong with an output of which every element must be as in `expected`, contiguous, or untouched where that has
  /// poison.
  std::string judge_copies(const char* name, const GuardedRows& rows, const std::vector<std::uint16_t>& expected) const {
    const std::vector<std::byte> now = rows.buffer->download();
    std::vector<bool> defined(static_cast<std::size_t>(rows.rows));
    const auto columns = static_cast<std::size_t>(rows.columns);
    for (std::size_t row = 0; row < defined.size(); ++row) {
      const std::uint16_t* wanted = expected.data() + row * columns;
      const std::uint16_t* found = GuardedBuffer::at<std::uint16_t>(now, row * static_cast<std::size_t>(rows.stride));
      defined[row] = *wanted != undefined;
      if (defined[row] && !std::equal(wanted, wanted + columns, found)) return fmt::format("{}: row {} differs", name, row);
    }
    return intact(name, rows, now, defined);
  }
  /// For judge_copies(): no element is defined.
  static std::vector<std::uint16_t> undefined_rows(const GuardedRows& rows) {
    return std::vector<std::uint16_t>(static_cast<std::size_t>(rows.rows) * static_cast<std::size_t>(rows.columns), undefined);
  }

  GuardedRows output_rows(const char* name, int rows, int columns, int padding) {
    return {rows, columns, columns + padding, &buffer(name, poisoned(rows, columns, padding), true)};
  }

  /// What is wrong with an output: with the defined rows against `reference`, contiguous, or with anything else of the memory.
  std::string judge_rows(const char* name, const GuardedRows& rows, const std::vector<float>& reference,
                         const std::vector<bool>& defined) const {
    const std::vector<std::byte> now = rows.buffer->download();
    const auto columns = static_cast<std::size_t>(rows.columns);
    for (int row = 0; row < rows.rows; ++row) {
      const auto r = static_cast<std::size_t>(row);
      if (!defined[r]) continue;
      const double error = row_error(GuardedBuffer::at<std::uint16_t>(now, r * static_cast<std::size_t>(rows.stride)),
                                     std::span(reference).subspan(r * columns, columns), dtype());
      if (!(error <= row_tolerance(dtype()))) return fmt::format("{}: row {} has an error of {}", name, row, error);
    }
    return intact(name, rows, now, defined);
  }

  /// Whether all but the defined rows is as it was.
  std::string intact(const char* name, const GuardedRows& rows, const std::vector<std::byte>& now,
                     const std::vector<bool>& defined) const {
    const auto stride = static_cast<std::size_t>(rows.stride);
    const bool untouched = rows.buffer->template untouched<std::uint16_t>(
        now, [&](std::size_t i) { return defined[i / stride] && i % stride < static_cast<std::size_t>(rows.columns); });
    return untouched ? "" : fmt::format("{}: something else than the defined rows was written", name);
  }

  RowDevice& device_;
  CaseSpec spec_;
  Args device_args_ = {};
  Args host_args_ = {};

 private:
  static constexpr std::uint16_t undefined = 0xffff;  // no element of random rows

  static std::vector<std::uint16_t> poisoned(int rows, int columns, int padding) {
    const std::int64_t size = rows == 0 ? 0 : std::int64_t{rows - 1} * (columns + padding) + columns;
    return std::vector<std::uint16_t>(static_cast<std::size_t>(size), 0xffff);
  }

  void place_integers(const void* abi::GroupedGemmArgs::*member, const char* name, const std::vector<std::int64_t>& values,
                      bool as_64) {
    place(member,
          as_64 ? buffer(name, values, false) : buffer(name, std::vector<std::int32_t>(values.begin(), values.end()), false));
  }

  std::deque<GuardedBuffer> buffers_;
  GuardedBuffer* status_;
};

/// What a call of permute_rows has.
struct PermuteOptions {
  bool token_order = true;  ///< x is in token order; otherwise in slot order
  bool all_rows = false;    ///< without m_sizes
  bool scaled = false;
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
    place_indices();
    if (options.scaled) place_weights();
    if (!options.all_rows) place_m_sizes();
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
enum class SlotRows {
  absent,
  all,      ///< every slot has a row
  some,     ///< every third slot has none
  past_end  ///< as some; one lies past the last row
};
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
      device_args_.addend = addend.buffer->address();
      host_args_.addend = addend.buffer->host();
      set(&abi::CombineRowsArgs::addend_row_bytes, addend.row_bytes());
    }
    if (options.slot_rows != SlotRows::absent) place_slot_rows(options);
    if (options.token_count) {
      GuardedBuffer& count = buffer("token_count", std::vector<int>{*options.token_count}, false);
      device_args_.token_count = static_cast<const int*>(count.address());
      host_args_.token_count = static_cast<const int*>(count.host());
    }
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
    std::vector<int> sorted(static_cast<std::size_t>(spec_.M()));
    for (std::size_t row = 0; row < sorted.size(); ++row)
      sorted[static_cast<std::size_t>(spec_.gather_indices[row])] = static_cast<int>(row);
    if (options.slot_rows != SlotRows::all) {
      for (std::size_t slot = 1; slot < sorted.size(); slot += 3) {
        leave_out(options.expert_order ? sorted[slot] : static_cast<int>(slot), static_cast<int>(slot));
        sorted[slot] = slot % 2 == 0 ? -1 : -7;
      }
    }
    if (options.slot_rows == SlotRows::past_end && !sorted.empty()) sorted.back() = spec_.M();
    GuardedBuffer& slot_rows = buffer("slot_rows", sorted, false);
    device_args_.slot_rows = static_cast<const int*>(slot_rows.address());
    host_args_.slot_rows = static_cast<const int*>(slot_rows.host());
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
