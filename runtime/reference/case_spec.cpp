#include "runtime/reference/case_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace moe_tune {

namespace {

std::vector<std::int64_t> widen(const std::vector<int>& values) { return {values.begin(), values.end()}; }

}  // namespace

std::string CaseSpec::describe() const {
  return fmt::format("{} T={} sum(m_sizes)={} of M={} m_sizes:{} gather:{} padding x {} w {} {} y {} pre_activation {}",
                     moe_tune::describe(problem), tokens, std::accumulate(m_sizes.begin(), m_sizes.end(), std::int64_t{0}), M(),
                     m_sizes_64 ? "int64" : "int32", gather_indices_64 ? "int64" : "int32", x_padding, w_row_padding,
                     w_expert_padding, y_padding, pre_activation_padding);
}

CaseSpec routed_case(const Problem& problem, int tokens, const RoutingSpec& routing) {
  const RoutedRows rows = route(routing, tokens, problem.E, problem.top_k);
  return {.problem = problem, .tokens = tokens, .m_sizes = widen(rows.m_sizes), .gather_indices = widen(rows.gather_indices)};
}

CaseSpec one_expert_case(const Problem& problem, int tokens, int expert) {
  CaseSpec spec{.problem = problem, .tokens = tokens};
  spec.m_sizes.assign(problem.E, 0);
  spec.m_sizes[expert] = spec.M();
  spec.gather_indices.resize(spec.M());
  std::iota(spec.gather_indices.rbegin(), spec.gather_indices.rend(), 0);
  return spec;
}

CaseSpec half_empty_case(const Problem& problem, int tokens) {
  CaseSpec spec = one_expert_case(problem, tokens, 0);
  const int active = (problem.E + 1) / 2;
  for (int i = 0; i < active; ++i) spec.m_sizes[i * 2] = spec.M() / active + (i < spec.M() % active);
  return spec;
}

CaseSpec partial_case(const Problem& problem, int tokens) {
  CaseSpec spec = routed_case(problem, tokens, {});
  std::fill(spec.m_sizes.begin() + problem.E * 2 / 3, spec.m_sizes.end(), 0);
  return spec;
}

}  // namespace moe_tune
