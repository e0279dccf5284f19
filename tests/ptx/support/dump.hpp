// Outputs of micro-tests as a file, so that machines can be compared that do not meet.
#pragma once

#include <cstdint>
#include <span>

#include "tests/ptx/support/micro_test.hpp"

namespace moe_tune::test {

/// Where MOE_TUNE_PTX_DUMP names a file: adds an output to it, a JSON object {"<family>: <test>": {"hash": ..., "values": ...}}
/// of all outputs of this process; values, the floats, only for tests that have a tolerance.
void dump(const InstructionFamily& family, const MicroTest& test, std::span<const std::uint32_t> output);

}  // namespace moe_tune::test
