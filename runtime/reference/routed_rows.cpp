#include "runtime/reference/routed_rows.hpp"

#include "generator/rows_gemm.hpp"
#include "runtime/reference/integer_at.hpp"

#include <algorithm>
#include <cstdint>

namespace moe_tune {

namespace {

RoutedRow resolve_row(const Problem& problem, const abi::GroupedGemmArgs& args, int expert, int row, unsigned& status) {
  const GatheredRows gathered = gathered_rows(problem);
  const bool scatters = problem.op != Op::dW && rows_gemm(problem).scatters;
  if (!gathered.any && !scatters) return {expert, row, row, -1};
  std::int64_t slot = integer_at(args.gather_indices, args.gather_indices_64, row);
  if (slot < 0 || slot >= args.M) {
    status |= abi::status_bad_gather_index;
    slot = -1;
  }
  const int valid_slot = static_cast<int>(slot);
  if (scatters) return {expert, row, valid_slot, valid_slot};
  return {expert, valid_slot < 0 ? -1 : valid_slot / gathered.slots_per_row, row, valid_slot};
}

}  // namespace

ResolvedRows resolve_rows(const Problem& problem, const abi::GroupedGemmArgs& args) {
  ResolvedRows result;
  for (int expert = 0; expert < problem.E; ++expert) {
    const std::int64_t size = integer_at(args.m_sizes, args.m_sizes_64, expert);
    const std::int64_t left = args.M - static_cast<std::int64_t>(result.rows.size());
    if (size < 0 || size > left) result.status |= abi::status_bad_m_sizes;
    for (std::int64_t i = 0; i < std::min(size, left); ++i) {
      result.rows.push_back(resolve_row(problem, args, expert, static_cast<int>(result.rows.size()), result.status));
    }
  }
  return result;
}

}  // namespace moe_tune
