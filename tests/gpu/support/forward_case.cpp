#include "tests/gpu/support/forward_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "generator/support/checked.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune::test {

namespace {

constexpr int guard_rows = 300;  // more than any tile has
constexpr std::uint16_t poison = 0xffff;

/// `values` as int32 or int64 on the device; one element at least, so that there is an address.
DeviceBuffer upload_integers(const std::vector<std::int64_t>& values, bool as_64) {
  std::vector<std::int32_t> narrow_values(values.begin(), values.end());
  if (values.empty()) return DeviceBuffer(8);
  return as_64 ? upload(std::span<const std::int64_t>(values)) : upload(std::span<const std::int32_t>(narrow_values));
}

DeviceBuffer random_tensor(std::int64_t elements, DType dtype, float scale, std::uint32_t seed) {
  DeviceBuffer buffer(std::max<std::int64_t>(elements, 8) * 2);
  Gpu::get().utilities().fill_random(buffer.address(), elements, dtype, scale, seed, nullptr);
  return buffer;
}

std::vector<char> download_bytes(const DeviceBuffer& buffer) {
  std::vector<char> bytes(buffer.bytes());
  if (!bytes.empty()) buffer.download(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

ForwardCase::ForwardCase(const CaseSpec& spec) : spec_(spec) {
  const Problem& p = spec_.problem;
  // Scaled so that outputs are about 1 whatever K is.
  x_ = random_tensor(std::int64_t{x_rows()} * x_stride(), p.dtype, 1.0f, spec_.seed);
  w_ = random_tensor(p.E * w_stride(), p.dtype, 1.0f / std::sqrt(static_cast<float>(p.K)), spec_.seed + 1000);
  y_ = DeviceBuffer((std::size_t(spec_.M()) + 2 * guard_rows) * y_stride() * 2);
  m_sizes_ = upload_integers(spec_.m_sizes, spec_.m_sizes_64);
  gather_indices_ = upload_integers(spec_.gather_indices, spec_.gather_indices_64);
  topk_weights_ = DeviceBuffer(std::max(spec_.M(), 8) * sizeof(float));
  if (spec_.topk_weights_f32) {
    std::vector<float> weights(std::max(spec_.M(), 8));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.25f + 0.001f * static_cast<float>(i % 1009);
    topk_weights_.upload(weights.data(), weights.size() * sizeof(float));
  } else {
    Gpu::get().utilities().fill_random(topk_weights_.address(), spec_.M(), p.dtype, 1.0f, spec_.seed + 2000, nullptr);
  }
  status_ = DeviceBuffer(sizeof(unsigned));
  reference_ = DeviceBuffer(std::max<std::size_t>(std::size_t(spec_.M()) * p.N, 1) * sizeof(float));

  args_.x = x_.get();
  args_.w = w_.get();
  args_.y = reinterpret_cast<void*>(y_.address() + std::size_t{guard_rows} * y_stride() * 2);
  args_.m_sizes = m_sizes_.get();
  args_.gather_indices = gather_indices_.get();
  args_.topk_weights = topk_weights_.get();
  args_.status = static_cast<unsigned*>(status_.get());
  args_.w_expert_bytes = w_stride() * 2;
  args_.x_row_bytes = x_stride() * 2;
  args_.w_row_bytes = w_row_stride() * 2;
  args_.y_row_bytes = y_stride() * 2;
  args_.M = spec_.M();
  args_.m_sizes_64 = spec_.m_sizes_64;
  args_.gather_indices_64 = spec_.gather_indices_64;
  args_.topk_weights_f32 = spec_.topk_weights_f32;
  reset();
  refresh_reference();
}

void ForwardCase::refresh_reference() {
  reference_.fill(0xff);
  Gpu::get().utilities().reference_forward(spec_.problem, args_, reference_.address(), nullptr);
  driver().cuStreamSynchronize(nullptr);
}

void ForwardCase::set_m_sizes(const std::vector<std::int64_t>& m_sizes) {
  spec_.m_sizes = m_sizes;
  const std::vector<char> bytes = download_bytes(upload_integers(m_sizes, spec_.m_sizes_64));
  m_sizes_.upload(bytes.data(), bytes.size());
}

void ForwardCase::fill_x_rows(int first, int rows, std::uint16_t bits) {
  const std::vector<std::uint16_t> values(std::size_t(rows) * x_stride(), bits);
  x_.upload(values.data(), values.size() * 2, std::size_t(first) * x_stride() * 2);
}

void ForwardCase::reset(CUstream stream) {
  y_.fill(0xff, stream);
  status_.fill(0, stream);
}

unsigned ForwardCase::run(const ForwardKernel& kernel, CUstream stream, int max_sms) {
  // A non-blocking stream does not wait for the default one, on which the inputs were made.
  reset(stream);
  kernel.launch(args_, stream, max_sms);
  driver().cuStreamSynchronize(stream);
  return status();
}

unsigned ForwardCase::status() const {
  unsigned value = 0;
  status_.download(&value, sizeof(value));
  return value;
}

Comparison ForwardCase::compare() const {
  return Gpu::get().utilities().compare(spec_.problem, args_, reference_.address(), row_tolerance(spec_.problem.dtype), nullptr);
}

std::vector<std::uint16_t> ForwardCase::download_y_buffer() const {
  std::vector<std::uint16_t> values(y_.bytes() / 2);
  y_.download(values.data(), y_.bytes());
  return values;
}

bool ForwardCase::guards_intact() const {
  const std::vector<std::uint16_t> values = download_y_buffer();
  const int N = spec_.problem.N;
  const auto intact = [&](std::size_t row, int column, int count) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(row * y_stride() + column);
    return std::all_of(first, first + count, [](std::uint16_t bits) { return bits == poison; });
  };
  const std::size_t rows = std::size_t(spec_.M()) + 2 * guard_rows;
  for (std::size_t row = 0; row < rows; ++row) {
    const bool guard = row < guard_rows || row >= rows - guard_rows;
    if (!(guard ? intact(row, 0, y_stride()) : intact(row, N, spec_.y_padding))) return false;
  }
  return true;
}

std::vector<std::uint16_t> ForwardCase::download_y() const {
  const std::vector<std::uint16_t> values = download_y_buffer();
  std::vector<std::uint16_t> y;
  y.reserve(std::size_t(spec_.M()) * spec_.problem.N);
  for (int row = 0; row < spec_.M(); ++row) {
    const auto first = values.begin() + (std::ptrdiff_t{row} + guard_rows) * y_stride();
    y.insert(y.end(), first, first + spec_.problem.N);
  }
  return y;
}

std::vector<float> ForwardCase::download_reference() const {
  std::vector<float> values(std::size_t(spec_.M()) * spec_.problem.N);
  if (!values.empty()) reference_.download(values.data(), values.size() * sizeof(float));
  return values;
}

abi::GroupedGemmArgs ForwardCase::download_inputs() {
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
