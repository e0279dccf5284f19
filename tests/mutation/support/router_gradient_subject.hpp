// The emitted kernels of a router's gradient as a subject of a mutation study.
#pragma once

#include <string>
#include <vector>

#include "tests/mutation/support/subject.hpp"
#include "tests/support/router_gradient_cases.hpp"

namespace moe_tune::test {

/// A run is right when every call of it is. Calls are of one problem.
Subject router_gradient_subject(std::string name, const std::vector<RouterGradientCall>& calls);

}  // namespace moe_tune::test
