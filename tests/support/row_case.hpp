// What calls of the row operations have in common: tensors between guards, on whatever device runs the kernels, and the judge of
// what is in them afterwards.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "runtime/reference/case_spec.hpp"
#include "runtime/reference/comparison.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/random.hpp"
#include "runtime/reference/routing_weights.hpp"
#include "templates/abi/row_operations.cuh"
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

/// Which slots of a call have a row.
enum class SlotRows {
  absent,   ///< without slot_rows
  all,      ///< every slot has a row
  some,     ///< every third slot has none
  past_end  ///< as some; one lies past the last row
};

/// The sorted row of each slot; spec.gather_indices are sound.
inline std::vector<int> slot_rows(const CaseSpec& spec, SlotRows which) {
  std::vector<int> rows(static_cast<std::size_t>(spec.M()));
  for (std::size_t row = 0; row < rows.size(); ++row)
    rows[static_cast<std::size_t>(spec.gather_indices[row])] = static_cast<int>(row);
  if (which != SlotRows::all) {
    for (std::size_t slot = 1; slot < rows.size(); slot += 3) rows[slot] = slot % 2 == 0 ? -1 : -7;
  }
  if (which == SlotRows::past_end && !rows.empty()) rows.back() = spec.M();
  return rows;
}

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
  template <class T>
  void place(T* Args::*member, GuardedBuffer& buffer) {
    device_args_.*member = static_cast<T*>(buffer.address());
    host_args_.*member = static_cast<T*>(buffer.host());
  }

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

}  // namespace moe_tune::test
