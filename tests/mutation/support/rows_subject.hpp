// The row operations with calls of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/mutation/support/subject.hpp"
#include "tests/support/row_case.hpp"

namespace moe_tune::test {

/// Makes a case on a device and runs it: what is wrong, or nothing.
using RowCall = std::function<std::string(RowDevice& device)>;

/// A run is right when every call is.
Subject rows_subject(std::string name, const std::vector<RowCall>& calls);

}  // namespace moe_tune::test
