// A pipeline of the study on the emulated device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/emulator/kernel.hpp"
#include "tests/mutation/support/pipeline_case.hpp"
#include "tests/mutation/support/subject.hpp"

namespace moe_tune::test {

/// The tensors that the case expects something of, in the order of tensors(), after one run. Throws KernelFault.
std::vector<std::vector<std::byte>> run_emulated(const PipelineCase& pipeline, const emulator::Kernel& kernel,
                                                 std::uint64_t seed);

/// Compares what run_emulated() or a GPU has written with what is expected; empty where all is right.
std::string difference(const PipelineCase& pipeline, const std::vector<std::vector<std::byte>>& results);

Subject pipeline_subject(const PipelineCase& pipeline);

}  // namespace moe_tune::test
