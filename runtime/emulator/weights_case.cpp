#include "runtime/emulator/weights_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "generator/rows_gemm.hpp"
#include "generator/support/checked.hpp"
#include "runtime/emulator/random_values.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/weights_gradient.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::byte poison{0xff};

}  // namespace

WeightsCase::WeightsCase(const CaseSpec& spec) : spec_(spec) {
  const Problem& p = spec_.problem;
  const std::int64_t M = spec_.M();
  const std::int64_t x_rows = p.permute_x ? spec_.tokens : M;
  const std::int64_t x_stride = p.K + spec_.x_padding;
  const std::int64_t y_stride = p.N + spec_.y_padding;
  const auto bytes = [](std::int64_t count) { return static_cast<std::size_t>(std::max<std::int64_t>(count, 0)) * 2; };

  // Without the padding after the last row: nothing may touch it.
  x_ = &memory_.allocate("x", bytes((x_rows - 1) * x_stride + p.K), Use::read_only);
  Allocation& y = memory_.allocate("dY", bytes((M - 1) * y_stride + p.N), Use::read_only);
  fill_random(x_->as<std::uint16_t>().data(), 0, static_cast<std::int64_t>(x_->bytes / 2), 1.0f, spec_.seed, p.dtype);
  fill_random(y.as<std::uint16_t>().data(), 0, static_cast<std::int64_t>(y.bytes / 2), 0.25f, spec_.seed + 1000, p.dtype);
  const std::int64_t elements = (p.E - 1) * expert_stride() + (p.N - 1) * row_stride() + p.K;
  initial_.assign(static_cast<std::size_t>(elements * element()), poison);
  if (p.accumulate) make_old_values();
  w_ = &memory_.allocate("dW", initial_.size(), Use::read_write);
  workspace_ = &memory_.allocate("workspace", gathered_rows(p).any ? bytes(M * gathered_rows(p).length) : 0, Use::read_write);
  queue_ = &memory_.allocate("queue", sizeof(unsigned), Use::read_write);
  status_ = &memory_.allocate("status", sizeof(unsigned), Use::read_write);
  Allocation& m_sizes = upload_integers(memory_, "m_sizes", spec_.m_sizes, spec_.m_sizes_64);
  Allocation& gather_indices = upload_integers(memory_, "gather_indices", spec_.gather_indices, spec_.gather_indices_64);

  args_.x = x_->get();
  args_.y = y.get();
  args_.w = w_->get();
  args_.m_sizes = m_sizes.get();
  args_.gather_indices = gather_indices.get();
  args_.status = static_cast<unsigned*>(status_->get());
  args_.x_row_bytes = narrow<int>(x_stride * 2, "bytes of a row of x");
  args_.y_row_bytes = narrow<int>(y_stride * 2, "bytes of a row of dY");
  args_.w_row_bytes = narrow<int>(row_stride() * element(), "bytes of a row of dW");
  args_.w_expert_bytes = expert_stride() * element();
  args_.M = spec_.M();
  args_.m_sizes_64 = spec_.m_sizes_64;
  args_.gather_indices_64 = spec_.gather_indices_64;
  abi::GroupedGemmArgs host = args_;
  host.x = x_->data;
  host.y = y.data;
  host.w = initial_.data();
  host.m_sizes = m_sizes.data;
  host.gather_indices = gather_indices.data;
  reference_.resize(static_cast<std::size_t>(std::int64_t{p.E} * p.N * p.K));
  expected_status_ = reference_weights(p, host, std::span<float>(reference_));
}

void WeightsCase::set_x_row(int row, std::uint16_t bits) {
  std::fill_n(x_->as<std::uint16_t>().data() + row * std::int64_t{args_.x_row_bytes} / 2, spec_.problem.K, bits);
}

void WeightsCase::set_back() { std::copy(initial_.begin(), initial_.end(), w_->data); }

unsigned WeightsCase::run(const GemmKernel& kernel, std::uint64_t seed) {
  set_back();
  std::fill_n(workspace_->data, workspace_->bytes, poison);
  unsigned& queue = queue_->as<unsigned>()[0];
  unsigned& status = status_->as<unsigned>()[0];
  queue = status = 0;
  kernel.launch(memory_, args_, {workspace_->get(), static_cast<unsigned*>(queue_->get())}, seed);
  if (queue != 0) throw KernelFault(fmt::format("leaves {} in the queue counter, which must be 0 after a launch", queue));
  return status;
}

void WeightsCase::make_old_values() {
  const Problem& p = spec_.problem;
  for (std::int64_t row = 0; row < std::int64_t{p.E} * p.N; ++row) {
    std::byte* target = initial_.data() + (row / p.N * expert_stride() + row % p.N * row_stride()) * element();
    for (int k = 0; k < p.K; ++k) {
      // -0 shows whether zeros are added.
      const float old = k == 0 ? -0.0f : random_normal(spec_.seed + 2000, static_cast<std::uint64_t>(row * p.K + k));
      const std::uint16_t rounded = from_float(old, p.dtype);
      std::memcpy(target + k * element(), p.float32_dw ? static_cast<const void*>(&old) : &rounded,
                  static_cast<std::size_t>(element()));
    }
  }
}

std::span<const std::byte> WeightsCase::bytes_of(int expert, std::span<const std::byte> dw) const {
  const auto bytes = static_cast<std::size_t>(expert_stride() * element());
  const std::size_t first = static_cast<std::size_t>(expert) * bytes;
  return dw.subspan(first, std::min(bytes, dw.size() - first));
}

double WeightsCase::rounded_otherwise() const {
  const Problem& p = spec_.problem;
  std::size_t otherwise = 0;
  for (std::size_t i = 0; i < reference_.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / p.K;
    const std::int64_t index = row / p.N * expert_stride() + row % p.N * row_stride() + static_cast<std::int64_t>(i) % p.K;
    otherwise += w_->as<std::uint16_t>()[static_cast<std::size_t>(index)] != from_float(reference_[i], p.dtype);
  }
  return static_cast<double>(otherwise) / static_cast<double>(reference_.size());
}

bool WeightsCase::kept(int expert) const {
  const auto now = bytes_of(expert, {w_->data, w_->bytes});
  const auto before = bytes_of(expert, initial_);
  return std::equal(now.begin(), now.end(), before.begin(), before.end());
}

Comparison WeightsCase::compare() const {
  const Problem& p = spec_.problem;
  abi::GroupedGemmArgs host = args_;
  host.w = w_->data;
  Comparison result = compare_weights(p, host, reference_);
  for (int row = 0; row < p.E * p.N; ++row) {
    const int expert = row / p.N;
    const auto dw = bytes_of(expert, {w_->data, w_->bytes});
    const auto size = static_cast<std::int64_t>(dw.size());
    const std::int64_t first = row % p.N * row_stride();
    const std::int64_t next = row % p.N + 1 < p.N ? first + row_stride() : expert_stride();
    const std::int64_t begin = std::min((first + p.K) * element(), size);
    const std::int64_t end = std::min(next * element(), size);
    if (std::all_of(dw.begin() + begin, dw.begin() + end, [](std::byte byte) { return byte == poison; })) continue;
    result.max_row_error = result.max_element_error = std::numeric_limits<double>::infinity();
    result.expert_error[static_cast<std::size_t>(expert)] = result.max_row_error;
    ++result.bad_rows;
    if (result.first_bad_row < 0 || row < result.first_bad_row) result.first_bad_row = row;
  }
  return result;
}

}  // namespace moe_tune::emulator
