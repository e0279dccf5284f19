#include "tests/gpu/support/gemm_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "generator/support/checked.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/reference/pre_activation.hpp"
#include "runtime/reference/routing_weights.hpp"
#include "tests/gpu/support/tensors.hpp"

namespace moe_tune::test {

namespace {

constexpr int guard_rows = 300;  // more than any tile has
constexpr std::uint16_t poison = 0xffff;

std::vector<char> download_bytes(const DeviceBuffer& buffer) {
  std::vector<char> bytes(buffer.bytes());
  if (!bytes.empty()) buffer.download(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

GemmCase::GemmCase(const CaseSpec& spec) : spec_(spec) {
  const Problem& p = spec_.problem;
  // Scaled so that outputs are about 1 whatever K is.
  x_ = random_tensor(std::int64_t{x_rows()} * x_stride(), p.dtype, 1.0f, spec_.seed);
  w_ = random_tensor(p.E * w_stride(), p.dtype, 1.0f / std::sqrt(static_cast<float>(rows_gemm(p).reduction)), spec_.seed + 1000);
  y_ = allocate_output(output_columns(p), spec_.y_padding);
  if (p.keep_pre_activation) pre_activation_ = allocate_output(p.N, spec_.pre_activation_padding);
  workspace_ = DeviceBuffer(
      gathered_rows(p).any ? std::size_t(spec_.M()) * gathered_rows(p).length * 2 + most_copied_bytes(spec_.M()) : 0);
  queue_ = DeviceBuffer(sizeof(unsigned));
  queue_.fill(0);
  m_sizes_ = upload_integers(spec_.m_sizes, spec_.m_sizes_64);
  gather_indices_ = upload_integers(spec_.gather_indices, spec_.gather_indices_64);
  const auto slots = static_cast<std::size_t>(std::max(spec_.M(), 8));
  topk_weights_ =
      spec_.topk_weights_f32 ? upload<float>(routing_weights(slots)) : upload<std::uint16_t>(routing_weights(slots, p.dtype));
  status_ = DeviceBuffer(sizeof(unsigned));

  args_.x = x_.get();
  args_.w = w_.get();
  args_.y = y_.rows();
  if (p.keep_pre_activation) {
    args_.pre_activation = pre_activation_.rows();
    args_.pre_activation_row_bytes = pre_activation_.stride * 2;
  }
  args_.m_sizes = m_sizes_.get();
  args_.gather_indices = gather_indices_.get();
  args_.topk_weights = topk_weights_.get();
  args_.status = static_cast<unsigned*>(status_.get());
  args_.w_expert_bytes = w_stride() * 2;
  args_.x_row_bytes = x_stride() * 2;
  args_.w_row_bytes = w_row_stride() * 2;
  args_.y_row_bytes = y_.stride * 2;
  args_.M = spec_.M();
  args_.m_sizes_64 = spec_.m_sizes_64;
  args_.gather_indices_64 = spec_.gather_indices_64;
  args_.topk_weights_f32 = spec_.topk_weights_f32;
  reset();
  refresh_reference();
}

void GemmCase::refresh_reference() {
  const Problem& p = spec_.problem;
  y_.reference.fill(0xff);
  Gpu::get().utilities().reference(p, args_, y_.reference.address(), nullptr);
  if (p.keep_pre_activation) {
    pre_activation_.reference.fill(0xff);
    Gpu::get().utilities().reference(pre_activation_problem(p), args_, pre_activation_.reference.address(), nullptr);
  }
  driver().cuStreamSynchronize(nullptr);
}

void* GemmCase::Output::rows() const { return reinterpret_cast<void*>(memory.address() + std::size_t{guard_rows} * stride * 2); }

GemmCase::Output GemmCase::allocate_output(int columns, int padding) const {
  Output output;
  output.columns = columns;
  output.stride = columns + padding;
  output.memory = DeviceBuffer((std::size_t(spec_.M()) + 2 * guard_rows) * output.stride * 2);
  output.reference = DeviceBuffer(std::max<std::size_t>(std::size_t(spec_.M()) * columns, 1) * sizeof(float));
  return output;
}

void GemmCase::set_m_sizes(const std::vector<std::int64_t>& m_sizes) {
  spec_.m_sizes = m_sizes;
  const std::vector<char> bytes = download_bytes(upload_integers(m_sizes, spec_.m_sizes_64));
  m_sizes_.upload(bytes.data(), bytes.size());
}

void GemmCase::fill_x_rows(int first, int rows, std::uint16_t bits) {
  const std::vector<std::uint16_t> values(std::size_t(rows) * x_stride(), bits);
  x_.upload(values.data(), values.size() * 2, std::size_t(first) * x_stride() * 2);
}

void GemmCase::reset(CUstream stream) {
  y_.memory.fill(0xff, stream);
  pre_activation_.memory.fill(0xff, stream);
  workspace_.fill(0xff, stream);
  status_.fill(0, stream);
}

unsigned GemmCase::run(const GemmKernel& kernel, CUstream stream, int max_sms) {
  // A non-blocking stream does not wait for the default one, on which the inputs were made.
  reset(stream);
  kernel.launch(args_, resources(), stream, max_sms);
  driver().cuStreamSynchronize(stream);
  return status();
}

unsigned GemmCase::status() const {
  unsigned value = 0;
  status_.download(&value, sizeof(value));
  return value;
}

unsigned GemmCase::queue() const {
  unsigned value = 0;
  queue_.download(&value, sizeof(value));
  return value;
}

Comparison GemmCase::compare() const {
  const Problem& p = spec_.problem;
  const UtilityKernels& utilities = Gpu::get().utilities();
  Comparison result = utilities.compare(p, args_, y_.reference.address(), row_tolerance(p.dtype), nullptr);
  if (!p.keep_pre_activation) return result;
  return worst_of(std::move(result), utilities.compare(pre_activation_problem(p), pre_activation_args(args_),
                                                       pre_activation_.reference.address(), row_tolerance(p.dtype), nullptr));
}

bool GemmCase::guards_intact() const {
  return guards_intact(y_) && (!spec_.problem.keep_pre_activation || guards_intact(pre_activation_));
}

bool GemmCase::guards_intact(const Output& output) const {
  std::vector<std::uint16_t> values(output.memory.bytes() / 2);
  output.memory.download(values.data(), output.memory.bytes());
  const auto intact = [&](std::size_t row, int column) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(row * output.stride);
    return std::all_of(first + column, first + output.stride, [](std::uint16_t bits) { return bits == poison; });
  };
  const std::size_t rows = std::size_t(spec_.M()) + 2 * guard_rows;
  for (std::size_t row = 0; row < rows; ++row) {
    const bool guard = row < guard_rows || row >= rows - guard_rows;
    if (!intact(row, guard ? 0 : output.columns)) return false;
  }
  return true;
}

std::vector<std::uint16_t> GemmCase::download_rows(const Output& output) const {
  std::vector<std::uint16_t> values(output.memory.bytes() / 2);
  output.memory.download(values.data(), output.memory.bytes());
  std::vector<std::uint16_t> rows;
  rows.reserve(std::size_t(spec_.M()) * output.columns);
  for (int row = 0; row < spec_.M(); ++row) {
    const auto first = values.begin() + (std::ptrdiff_t{row} + guard_rows) * output.stride;
    rows.insert(rows.end(), first, first + output.columns);
  }
  return rows;
}

std::vector<float> GemmCase::download_reference(const Output& output) const {
  std::vector<float> values(std::size_t(spec_.M()) * output.columns);
  if (!values.empty()) output.reference.download(values.data(), values.size() * sizeof(float));
  return values;
}

abi::GroupedGemmArgs GemmCase::download_inputs() {
  host_.clear();
  for (const DeviceBuffer* buffer : {&x_, &w_, &m_sizes_, &gather_indices_, &topk_weights_})
    host_.push_back(download_bytes(*buffer));
  abi::GroupedGemmArgs args = args_;
  args.x = host_[0].data();
  args.w = host_[1].data();
  args.m_sizes = host_[2].data();
  args.gather_indices = host_[3].data();
  args.topk_weights = host_[4].data();
  args.y = nullptr;
  args.status = nullptr;
  return args;
}

}  // namespace moe_tune::test
