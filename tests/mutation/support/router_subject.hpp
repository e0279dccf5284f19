// An emitted router with calls of it.
#pragma once

#include <string>
#include <vector>

#include "tests/mutation/support/subject.hpp"
#include "tests/support/router_cases.hpp"

namespace moe_tune::test {

/// A run is right when every call of it is. Calls are of one problem.
Subject router_subject(std::string name, const std::vector<RouterCall>& calls);

}  // namespace moe_tune::test
