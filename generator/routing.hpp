// Synthetic routing: which experts every token goes to. Deterministic in the seed, on every platform.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moe_tune {

/// How popular the experts are.
struct RoutingSpec {
  enum class Kind { uniform, zipf } kind = Kind::uniform;
  double alpha = 1.0;  ///< zipf: popularity p ~ 1 / rank^alpha, ranks shuffled by the seed
  std::uint64_t seed = 1;
};

/// "uniform" or "zipf:A"; throws UsageError with the allowed forms.
RoutingSpec parse_routing(std::string_view text);
std::string to_string(const RoutingSpec& spec);

/// What a grouped GEMM is given: rows sorted by expert, and by slot within an expert.
struct RoutedRows {
  std::vector<int> m_sizes;         ///< (E) rows of each expert
  std::vector<int> gather_indices;  ///< (M) slot = token * top_k + choice at each sorted row

  int active_experts() const;        ///< experts with rows
  double effective_experts() const;  ///< exp(entropy of the shares of rows)
  double max_share() const;          ///< share of all rows on the busiest expert
};

/// Routes T tokens to top_k distinct experts each, drawn without replacement by popularity. top_k <= E.
RoutedRows route(const RoutingSpec& spec, int tokens, int E, int top_k);

}  // namespace moe_tune
