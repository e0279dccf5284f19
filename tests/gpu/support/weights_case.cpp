#include "tests/gpu/support/weights_case.hpp"

#include <algorithm>
#include <cmath>

#include "generator/rows_gemm.hpp"
#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/tensors.hpp"

namespace moe_tune::test {

namespace {

constexpr std::byte poison{0xff};

}  // namespace

WeightsCase::WeightsCase(const CaseSpec& spec) : spec_(spec) {
  const Problem& p = spec_.problem;
  const std::int64_t M = spec_.M();
  const std::int64_t x_rows = p.permute_x ? M / p.top_k : M;
  const std::int64_t dy_stride = p.N + spec_.y_padding;
  // Scaled so that elements of dW are about 1 for an expert with its share of the rows.
  const auto scale = static_cast<float>(1 / std::sqrt(std::max(1.0, static_cast<double>(M) / p.E)));
  x_ = random_tensor(x_rows * x_stride(), p.dtype, 1.0f, spec_.seed);
  dy_ = random_tensor(M * dy_stride, p.dtype, scale, spec_.seed + 1000);
  initial_.assign(static_cast<std::size_t>((p.E * expert_stride() + 2 * guard) * element()), poison);
  if (p.accumulate) make_old_values();
  dw_ = upload<std::byte>(initial_);
  reference_ = DeviceBuffer(static_cast<std::size_t>(p.E) * p.N * p.K * sizeof(float));
  workspace_ = DeviceBuffer(gathered_rows(p).any ? static_cast<std::size_t>(M) * gathered_rows(p).length * 2 : 0);
  queue_ = DeviceBuffer(sizeof(unsigned));
  queue_.fill(0);
  status_ = DeviceBuffer(sizeof(unsigned));
  m_sizes_ = upload_integers(spec_.m_sizes, spec_.m_sizes_64);
  gather_indices_ = upload_integers(spec_.gather_indices, spec_.gather_indices_64);

  args_.x = x_.get();
  args_.y = dy_.get();
  args_.w = reinterpret_cast<void*>(dw_.address() + static_cast<std::size_t>(row_offset(0, 0)));
  args_.m_sizes = m_sizes_.get();
  args_.gather_indices = gather_indices_.get();
  args_.status = static_cast<unsigned*>(status_.get());
  args_.x_row_bytes = x_stride() * 2;
  args_.y_row_bytes = static_cast<int>(dy_stride * 2);
  args_.w_row_bytes = static_cast<int>(row_stride() * element());
  args_.w_expert_bytes = expert_stride() * element();
  args_.M = static_cast<int>(M);
  args_.m_sizes_64 = spec_.m_sizes_64;
  args_.gather_indices_64 = spec_.gather_indices_64;
  Gpu::get().utilities().reference(p, args_, reference_.address(), nullptr);
  driver().cuStreamSynchronize(nullptr);
}

void WeightsCase::make_old_values() {
  const Problem& p = spec_.problem;
  const std::size_t row_bytes = static_cast<std::size_t>(p.K * element());
  std::vector<std::byte> values(static_cast<std::size_t>(p.E) * p.N * row_bytes);
  // A float32 value is a bf16 one with random further digits.
  const DeviceBuffer random =
      random_tensor(static_cast<std::int64_t>(values.size() / 2), p.float32_dw ? DType::bf16 : p.dtype, 1.0f, spec_.seed + 2000);
  random.download(values.data(), values.size());
  auto row = values.begin();
  for (int expert = 0; expert < p.E; ++expert) {
    for (int n = 0; n < p.N; ++n, row += static_cast<std::ptrdiff_t>(row_bytes)) {
      const auto target = initial_.begin() + row_offset(expert, n);
      std::copy_n(row, row_bytes, target);
      // -0 shows whether zeros are added.
      std::fill_n(target, element() - 1, std::byte{0});
      target[element() - 1] = std::byte{0x80};
    }
  }
}

unsigned WeightsCase::run(const GemmKernel& kernel) {
  dw_.upload(initial_.data(), initial_.size());
  workspace_.fill(0xff);
  status_.fill(0);
  kernel.launch(args_, {workspace_.get(), static_cast<unsigned*>(queue_.get())}, nullptr);
  driver().cuStreamSynchronize(nullptr);
  unsigned status = 0;
  status_.download(&status, sizeof(status));
  return status;
}

unsigned WeightsCase::queue() const {
  unsigned value = 0;
  queue_.download(&value, sizeof(value));
  return value;
}

void WeightsCase::fill_x_rows(int first, int rows, std::uint16_t bits) {
  const std::vector<std::uint16_t> values(static_cast<std::size_t>(rows) * x_stride(), bits);
  x_.upload(values.data(), values.size() * 2, static_cast<std::size_t>(first) * x_stride() * 2);
}

Comparison WeightsCase::compare() const {
  const Problem& p = spec_.problem;
  return Gpu::get().utilities().compare(p, args_, reference_.address(), row_tolerance(p), nullptr);
}

std::vector<std::byte> WeightsCase::download() const {
  std::vector<std::byte> all(dw_.bytes());
  dw_.download(all.data(), dw_.bytes());
  return all;
}

bool WeightsCase::kept(int expert) const {
  const std::vector<std::byte> all = download();
  const auto first = row_offset(expert, 0);
  return std::equal(all.begin() + first, all.begin() + row_offset(expert + 1, 0), initial_.begin() + first);
}

bool WeightsCase::guards_intact() const {
  const Problem& p = spec_.problem;
  std::vector<std::byte> all = download();
  for (int expert = 0; expert < p.E; ++expert) {
    for (int n = 0; n < p.N; ++n) std::fill_n(all.begin() + row_offset(expert, n), p.K * element(), poison);
  }
  return std::all_of(all.begin(), all.end(), [](std::byte byte) { return byte == poison; });
}

}  // namespace moe_tune::test
