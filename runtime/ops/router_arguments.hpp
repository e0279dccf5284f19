// The arguments of a router on their way to its kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "moe_tune/router.hpp"
#include "templates/abi/router.cuh"

namespace moe_tune {

/// What the kernels of `problem` get, but for the status word. Throws UsageError naming the argument that is wrong.
abi::RouterArgs convert(const RouterProblem& problem, const RouterArgs& args);

/// Tokens of one call. Throws UsageError where they are out of range.
int checked_tokens(const RouterProblem& problem, std::int64_t tokens);

}  // namespace moe_tune
