// Integer division and rounding of sizes.
#pragma once

namespace moe_tune {

/// a / b rounded up; a >= 0 and b > 0.
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

/// The least multiple of `grain` that is not below `value`.
constexpr int round_up(int value, int grain) { return ceil_div(value, grain) * grain; }

}  // namespace moe_tune
