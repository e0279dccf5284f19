// The token axis: at which token counts to tune, and which counts each result speaks for.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tuning_db/record.hpp"

namespace moe_tune {

inline constexpr int max_tuned_tokens = 1 << 24;

/// 1, 4, 16, 64, 256, 1024, 4096, 8192: decoding alone to prefill.
std::span<const int> default_tokens();

/// "1,16,512" or "LO:HI" (the powers of two from LO to HI, and LO and HI themselves), also mixed: "1,16:128". Ascending, each
/// once. Throws UsageError for anything else, and for counts outside [1, max_tuned_tokens].
std::vector<int> parse_tokens(std::string_view text);

/// The last token count that is nearer, by ratio, to `a` than to `b`; 0 < a <= b <= max_tuned_tokens.
int geometric_middle(int a, int b);

/// The range of each of `measured` (ascending): up to the geometric middle between neighbours, the first from 1, the last to
/// twice itself.
std::vector<TokenRange> token_ranges(std::span<const int> measured);

}  // namespace moe_tune
