#include "runtime/reference/row_operations.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/reference/half.hpp"
#include "runtime/reference/integer_at.hpp"
#include "runtime/reference/unpack_row.hpp"

namespace moe_tune {

namespace {

/// Rows of all experts; sizes are cut so that they stay inside [0, M).
int count_rows(const abi::GroupedGemmArgs& args, int E, unsigned& status) {
  if (args.m_sizes == nullptr) return args.M;
  std::int64_t rows = 0;
  for (int expert = 0; expert < E; ++expert) {
    const std::int64_t size = integer_at(args.m_sizes, args.m_sizes_64, expert);
    const std::int64_t left = args.M - rows;
    if (size < 0 || size > left) status |= abi::status_bad_m_sizes;
    rows += std::clamp<std::int64_t>(size, 0, left);
  }
  return static_cast<int>(rows);
}

/// The slot at a sorted row; -1 for a bad index.
int slot_at(const abi::GroupedGemmArgs& args, int row, unsigned& status) {
  if (args.gather_indices == nullptr) return row;
  const std::int64_t slot = integer_at(args.gather_indices, args.gather_indices_64, row);
  if (slot >= 0 && slot < args.M) return static_cast<int>(slot);
  status |= abi::status_bad_gather_index;
  return -1;
}

double weight_at(DType dtype, const abi::GroupedGemmArgs& args, std::int64_t slot) {
  if (args.topk_weights == nullptr) return 1;
  if (args.topk_weights_f32) return static_cast<const float*>(args.topk_weights)[slot];
  return to_float(static_cast<const std::uint16_t*>(args.topk_weights)[slot], dtype);
}

/// The row of a slot that exists.
void permute_row(DType dtype, const abi::PermuteRowsArgs& args, int slot, std::uint16_t* target) {
  const char* source = static_cast<const char*>(args.gemm.x) + std::int64_t{slot / args.slots_per_row} * args.gemm.x_row_bytes;
  std::copy_n(reinterpret_cast<const std::uint16_t*>(source), args.columns, target);
  if (args.gemm.topk_weights == nullptr) return;
  // One product of two floats: exact in double, rounded to float as the kernel's is.
  const double weight = weight_at(dtype, args.gemm, slot);
  std::transform(target, target + args.columns, target,
                 [&](std::uint16_t bits) { return from_float(static_cast<float>(weight * to_float(bits, dtype)), dtype); });
}

}  // namespace

unsigned reference_permute_rows(DType dtype, const abi::PermuteRowsArgs& args, std::span<std::uint16_t> rows) {
  unsigned status = 0;
  if (args.slot_rows != nullptr) {
    for (int slot = 0; slot < args.gemm.M; ++slot) {
      const int row = args.slot_rows[slot];
      if (row >= args.gemm.M) status |= abi::status_bad_gather_index;
      if (row >= 0 && row < args.gemm.M) permute_row(dtype, args, slot, rows.data() + std::int64_t{row} * args.columns);
    }
    return status;
  }
  const int count = count_rows(args.gemm, args.E, status);
  for (int row = 0; row < count; ++row) {
    std::uint16_t* target = rows.data() + std::int64_t{row} * args.columns;
    const int slot = slot_at(args.gemm, row, status);
    if (slot < 0) {
      std::fill_n(target, args.columns, std::uint16_t{0});
    } else {
      permute_row(dtype, args, slot, target);
    }
  }
  return status;
}

unsigned reference_unpermute_rows(const abi::UnpermuteRowsArgs& args, std::span<std::uint16_t> out) {
  unsigned status = 0;
  const int count = count_rows(args.gemm, args.E, status);
  for (int row = 0; row < count; ++row) {
    const int slot = slot_at(args.gemm, row, status);
    if (slot < 0) continue;
    const char* source = static_cast<const char*>(args.gemm.x) + std::int64_t{row} * args.gemm.x_row_bytes;
    std::copy_n(reinterpret_cast<const std::uint16_t*>(source), args.columns, out.data() + std::int64_t{slot} * args.columns);
  }
  return status;
}

ActAndMulReference reference_act_and_mul(DType dtype, const abi::ActAndMulArgs& args) {
  const auto M = static_cast<std::size_t>(args.gemm.M);
  const auto columns = static_cast<std::size_t>(args.columns);
  ActAndMulReference result;
  result.out.resize(M * columns);
  result.defined_rows.resize(M);
  const int count = count_rows(args.gemm, args.E, result.status);
  for (int row = 0; row < count; ++row) {
    const auto r = static_cast<std::size_t>(row);
    result.defined_rows[r] = true;
    const auto x = unpack_row<double>(args.gemm.x, row, args.gemm.x_row_bytes, args.columns * 2, dtype);
    for (std::size_t i = 0; i < columns; ++i)
      result.out[r * columns + i] = static_cast<float>(x[i] / (1 + std::exp(-x[i])) * x[columns + i]);
  }
  return result;
}

CombineRowsReference reference_combine_rows(DType dtype, const abi::CombineRowsArgs& args) {
  CombineRowsReference result;
  result.out.resize(static_cast<std::size_t>(args.tokens) * static_cast<std::size_t>(args.columns));
  result.defined_rows.resize(static_cast<std::size_t>(args.tokens));
  const int given = args.token_count == nullptr ? args.tokens : *args.token_count;
  const int tokens = std::clamp(given, 0, args.tokens);
  if (given != tokens) result.status |= abi::status_bad_token_count;
  for (std::int64_t token = 0; token < tokens; ++token) {
    std::vector<double> sums(static_cast<std::size_t>(args.columns));
    if (args.addend != nullptr) sums = unpack_row<double>(args.addend, token, args.addend_row_bytes, args.columns, dtype);
    for (std::int64_t slot = token * args.top_k; slot < (token + 1) * args.top_k; ++slot) {
      std::int64_t source = slot;
      if (args.slot_rows != nullptr) {
        const std::int64_t sorted = args.slot_rows[slot];
        if (sorted < 0) continue;
        if (args.expert_order) source = sorted;
      }
      if (source >= args.gemm.M) {
        result.status |= abi::status_bad_gather_index;
        continue;
      }
      const double weight = weight_at(dtype, args.gemm, slot);
      const auto row = unpack_row<double>(args.gemm.x, source, args.gemm.x_row_bytes, args.columns, dtype);
      for (std::size_t column = 0; column < sums.size(); ++column) sums[column] += weight * row[column];
    }
    result.defined_rows[static_cast<std::size_t>(token)] = true;
    std::transform(sums.begin(), sums.end(), result.out.begin() + token * args.columns,
                   [](double sum) { return static_cast<float>(sum); });
  }
  return result;
}

SwigluGradientReference reference_swiglu_gradient(DType dtype, const abi::SwigluGradientArgs& args) {
  const auto M = static_cast<std::size_t>(args.gemm.M);
  const auto columns = static_cast<std::size_t>(args.columns);
  SwigluGradientReference result;
  result.d_pre_activation.resize(M * columns * 2);
  result.activation.resize(M * columns);
  result.defined_rows.resize(M);
  result.d_topk_weights.resize(M);
  result.summed_size.resize(M);
  result.defined_slots.resize(M);
  const int count = count_rows(args.gemm, args.E, result.status);
  for (int row = 0; row < count; ++row) {
    const int slot = slot_at(args.gemm, row, result.status);
    const auto r = static_cast<std::size_t>(row);
    result.defined_rows[r] = true;
    if (slot < 0) continue;
    const double weight = weight_at(dtype, args.gemm, slot);
    const auto g = unpack_row<double>(args.gemm.x, row, args.gemm.x_row_bytes, args.columns, dtype);
    const auto pre =
        unpack_row<double>(args.gemm.pre_activation, row, args.gemm.pre_activation_row_bytes, args.columns * 2, dtype);
    const auto s = static_cast<std::size_t>(slot);
    result.defined_slots[s] = true;
    for (std::size_t i = 0; i < columns; ++i) {
      const double gate = pre[i];
      const double up = pre[columns + i];
      const double sigmoid = 1 / (1 + std::exp(-gate));
      const double activation = gate * sigmoid * up;
      const double d_gate = weight * g[i] * up * sigmoid * (1 + gate * (1 - sigmoid));
      const double d_up = weight * g[i] * gate * sigmoid;
      result.d_pre_activation[r * columns * 2 + i] = static_cast<float>(d_gate);
      result.d_pre_activation[r * columns * 2 + columns + i] = static_cast<float>(d_up);
      result.activation[r * columns + i] = static_cast<float>(weight * activation);
      result.d_topk_weights[s] += args.scaled_input ? d_gate * gate + d_up * up : g[i] * activation;
      result.summed_size[s] += args.scaled_input ? std::abs(d_gate * gate) + std::abs(d_up * up) : std::abs(g[i] * activation);
    }
  }
  return result;
}

}  // namespace moe_tune
