// An emitted kernel of dW with a call of it.
#pragma once

#include <string>

#include "moe_tune/config.hpp"
#include "runtime/reference/case_spec.hpp"
#include "tests/mutation/support/subject.hpp"

namespace moe_tune::test {

/// A run is right when the status is the reference's and so is the dW of every expert; one that accumulates keeps that of experts
/// without rows.
Subject weights_subject(std::string name, const CaseSpec& spec, const KernelConfig& config);

}  // namespace moe_tune::test
