// Calls of a kernel on ragged rows of every kind, with the layout of the tensors varied from one to the next.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "runtime/reference/case_spec.hpp"

namespace moe_tune::test {

/// `tile`: rows of the kernel's tiles. Problems have at least 5 experts.
inline std::vector<CaseSpec> ragged_cases(const Problem& problem, int tile) {
  std::vector<CaseSpec> cases;
  for (const int tokens : {0, 1, 17}) cases.push_back(routed_case(problem, tokens, {}));
  cases.push_back(routed_case(problem, 41, {RoutingSpec::Kind::zipf, 1.5, 3}));
  cases.push_back(one_expert_case(problem, 33, problem.E - 1));
  cases.push_back(half_empty_case(problem, 29));
  cases.push_back(partial_case(problem, 25));
  // One row less than a tile, exactly a tile, one more; then none and a single one.
  CaseSpec boundaries = one_expert_case(problem, (3 * tile + 1 + problem.top_k) / problem.top_k, 0);
  boundaries.m_sizes.assign(static_cast<std::size_t>(problem.E), 0);
  const std::int64_t sizes[] = {tile - 1, tile, tile + 1, 0, 1};
  std::copy(std::begin(sizes), std::end(sizes), boundaries.m_sizes.begin());
  cases.push_back(boundaries);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CaseSpec& spec = cases[i];
    spec.m_sizes_64 = i % 2 == 1;
    spec.gather_indices_64 = i % 3 == 1;
    spec.topk_weights_f32 = i % 2 == 0;
    spec.x_padding = i % 2 == 0 ? 0 : 24;
    spec.y_padding = i % 3 == 0 ? 40 : 0;
    spec.pre_activation_padding = i % 3 == 2 ? 8 : 0;
    spec.w_expert_padding = i % 4 == 1 ? 8 : 0;
  }
  return cases;
}

/// Calls with a slot that does not exist, of every kind, with a negative size and with sizes past the last row.
inline std::vector<CaseSpec> bad_cases(const Problem& problem) {
  CaseSpec spec = routed_case(problem, 19, {});
  spec.gather_indices_64 = true;
  std::vector<CaseSpec> cases;
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{spec.M()}, std::int64_t{1} << 32}) {
    cases.push_back(spec);
    cases.back().gather_indices[7] = bad;
  }
  cases.push_back(spec);
  cases.back().m_sizes[1] = -3;
  cases.push_back(spec);
  cases.back().m_sizes[2] = spec.M();
  return cases;
}

}  // namespace moe_tune::test
