// Where the source of a candidate comes from.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "generator/emit.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// From a problem and a config to source: emit_kernel, or a test's that plants faults.
using EmitFunction = std::function<std::string(const Problem&, const KernelConfig&)>;

/// `emit`, or emit_kernel when it is empty.
inline EmitFunction emit_or_default(EmitFunction emit) {
  if (emit) return emit;
  return [](const Problem& problem, const KernelConfig& config) { return emit_kernel(problem, config); };
}

}  // namespace moe_tune
