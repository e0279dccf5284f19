// One call of a grouped-GEMM kernel, down to the layout of its tensors: what tests and verification vary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "generator/routing.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// Everything that may differ between two calls of one kernel.
struct CaseSpec {
  Problem problem;
  int tokens = 0;
  std::vector<std::int64_t> m_sizes = {};         ///< (E)
  std::vector<std::int64_t> gather_indices = {};  ///< (M)
  bool m_sizes_64 = false;
  bool gather_indices_64 = false;
  bool topk_weights_f32 = true;
  int x_padding = 0;               ///< elements between two rows of x; a multiple of 8
  int w_row_padding = 0;           ///< elements between two rows of w; a multiple of 8; needs WeightLayout::strided
  int w_expert_padding = 0;        ///< elements between two experts' weights; a multiple of 8
  int y_padding = 0;               ///< elements between two rows of y; a multiple of 8
  int pre_activation_padding = 0;  ///< elements between two rows of pre_activation; a multiple of 8
  std::uint32_t seed = 1;

  int M() const { return tokens * problem.top_k; }
  std::string describe() const;
};

/// Rows spread over the experts by `routing`.
CaseSpec routed_case(const Problem& problem, int tokens, const RoutingSpec& routing);
/// All rows on one expert, slots in falling order.
CaseSpec one_expert_case(const Problem& problem, int tokens, int expert);
/// Every other expert has no rows.
CaseSpec half_empty_case(const Problem& problem, int tokens);
/// The rows of the last third of the experts are someone else's: sum(m_sizes) < M.
CaseSpec partial_case(const Problem& problem, int tokens);

}  // namespace moe_tune
