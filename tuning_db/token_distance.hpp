// How far token counts are from each other: by their ratio.
#pragma once

#include <cstdint>

namespace moe_tune {

/// Whether `a` is nearer to `tokens` than `b`, all at least 1; at equal ratios the smaller one is.
bool nearer(std::int64_t a, std::int64_t b, std::int64_t tokens);

/// The last token count that is nearer to the smaller of two: their geometric mean, rounded down.
std::int64_t last_nearer_to_smaller(std::int64_t a, std::int64_t b);

}  // namespace moe_tune
