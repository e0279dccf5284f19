#include "generator/model.hpp"

#include <algorithm>
#include <cmath>

#include "generator/constraints.hpp"
#include "generator/family_model.hpp"
#include "generator/rows_gemm.hpp"

namespace moe_tune {

std::string Prediction::bound() const { return compute > memory ? "compute" : "memory"; }

double flops(const Problem& p, std::span<const int> m_sizes) {
  double rows = 0;
  for (const int size : m_sizes) rows += size;
  return 2.0 * rows * p.N * p.K;
}

double minimum_bytes(const Problem& p, std::span<const int> m_sizes) {
  double rows = 0;
  double experts = 0;
  for (const int size : m_sizes) {
    rows += size;
    experts += size > 0;
  }
  const double element = element_bytes(p.dtype);
  if (p.op == Op::dW) {
    const double x_rows = p.permute_x ? std::ceil(rows / p.top_k) : rows;
    const double indices = gathered_rows(p).any ? rows * 4 : 0;
    const double matrices = p.accumulate ? 2 * experts : p.E;  // read and written, or written
    return element * (x_rows * p.K + rows * p.N) + weight_element_bytes(p) * matrices * p.N * p.K + indices;
  }
  const RowsGemm gemm = rows_gemm(p);
  const double x_rows = gathered_rows(p).any ? std::ceil(rows / gathered_rows(p).slots_per_row) : rows;
  const double stored_columns = output_columns(p) + (p.keep_pre_activation ? p.N : 0);
  const double indices = gathered_rows(p).any || gemm.scatters ? rows * 4 : 0;
  const double weights_of_rows = p.fuse_mul_post || p.fuse_mul_pre ? rows * element : 0;
  return element * (experts * p.N * p.K + x_rows * gemm.reduction + rows * stored_columns) + indices + weights_of_rows;
}

double roofline_us(const Problem& p, std::span<const int> m_sizes, const DeviceDescription& d) {
  const double tflops = runs_on(Family::sm90, d) ? std::max(d.mma_sync_tflops, d.wgmma_tflops) : d.mma_sync_tflops;
  return std::max(flops(p, m_sizes) / (tflops * 1e6), minimum_bytes(p, m_sizes) / (d.dram_gb_per_s * 1e3));
}

Prediction predict(const Problem& p, const KernelConfig& c, std::span<const int> m_sizes, const DeviceDescription& d) {
  return c.family == Family::sm90 ? sm90::predict(p, c, m_sizes, d) : sm80::predict(p, c, m_sizes, d);
}

std::vector<RankedConfig> rank(const Problem& problem, std::span<const KernelConfig> configs, std::span<const int> m_sizes,
                               const DeviceDescription& device) {
  std::vector<RankedConfig> ranked;
  ranked.reserve(configs.size());
  for (const KernelConfig& config : configs) ranked.push_back({config, predict(problem, config, m_sizes, device)});
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedConfig& a, const RankedConfig& b) { return a.prediction.total < b.prediction.total; });
  return ranked;
}

}  // namespace moe_tune
