// Options of a tuning run that is over in an instant: a small layer on a named device.
#pragma once

#include <filesystem>

#include "generator/device.hpp"
#include "runtime/tune/options.hpp"

namespace moe_tune::test {

inline Problem small_problem(Gemm gemm = Gemm::gate_up) {
  Problem problem;
  problem.gemm = gemm;
  problem.E = 8;
  problem.N = 256;
  problem.K = 320;
  problem.top_k = 2;
  problem.permute_x = gemm == Gemm::gate_up;
  problem.permute_y = gemm == Gemm::down;
  return problem;
}

inline TuneOptions small_tuning(const std::filesystem::path& folder, bool live) {
  TuneOptions options;
  options.target = named_target(find_device("h200"), "13.0");
  options.target.live = live;
  if (live) options.target.env.uuid = "GPU-1";
  options.problems = {small_problem()};
  options.tokens = {1, 16, 256};
  options.database = folder / "db.json";
  return options;
}

}  // namespace moe_tune::test
