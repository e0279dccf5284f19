// Runs a call on the emulated device under several schedules and CHECKs (Catch2) its result.
#pragma once

#include <catch2/catch.hpp>

#include "runtime/emulator/gemm_kernel.hpp"

namespace moe_tune::test {

/// Schedules of every kind (runtime/emulator/grid_run.hpp).
inline constexpr std::uint64_t all_kinds = 4;

inline void check_kernel(const CaseSpec& spec, const emulator::GemmKernel& kernel, std::uint64_t seeds = all_kinds,
                         std::uint64_t first_seed = 0) {
  INFO(spec.describe());
  INFO(to_string(kernel.config()));
  emulator::GemmCase forward(spec);
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    INFO("seed " << seed);
    CHECK(forward.run(kernel, seed) == forward.expected_status());
    const Comparison comparison = forward.compare();
    INFO("worst row error " << comparison.max_row_error << ", first bad row " << comparison.first_bad_row);
    CHECK(comparison.bad_rows == 0);
  }
}

}  // namespace moe_tune::test
