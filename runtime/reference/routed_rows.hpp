// The routed rows of a call as the problem means them: device data read on the host, bad data resolved.
#pragma once

#include <vector>

#include "moe_tune/problem.hpp"
#include "templates/abi/grouped_gemm.cuh"

namespace moe_tune {

struct RoutedRow {
  int expert;
  int source;  ///< row of x; -1 reads as zeros
  int target;  ///< row of the output; -1 is not stored
  int slot;    ///< -1 for a bad one, and without a permutation
};

struct ResolvedRows {
  std::vector<RoutedRow> rows;  ///< in expert order
  unsigned status = 0;          ///< abi::StatusBit of the bad data met on the way
};

/// `args` with host pointers.
ResolvedRows resolve_rows(const Problem& problem, const abi::GroupedGemmArgs& args);

}  // namespace moe_tune
