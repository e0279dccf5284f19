// Records with every field set to something that is not its default, so that a field lost on the way shows.
#pragma once

#include <string>

#include "tuning_db/journal.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune::test {

inline Problem sample_problem(Gemm gemm = Gemm::down) {
  Problem problem;
  problem.gemm = gemm;
  problem.dtype = DType::fp16;
  problem.E = 128;
  problem.N = 1536;
  problem.K = 2048;
  problem.top_k = 8;
  problem.permute_x = gemm == Gemm::gate_up;
  problem.permute_y = gemm == Gemm::down;
  problem.fuse_mul_post = gemm == Gemm::down;
  return problem;
}

inline KernelConfig sample_config(int BLOCK_M = 64) {
  KernelConfig config;
  config.BLOCK_M = BLOCK_M;
  config.BLOCK_N = 256;
  config.BLOCK_K = 32;
  config.warps = 8;
  config.warps_m = 4;
  config.stages = 5;
  config.ctas_per_sm = 2;
  config.tile_order = TileOrder::n_fastest;
  return config;
}

inline KernelConfig sample_sm90_config() {
  return {
      Family::sm90,     192, 128, 64, 12, 1, 4, 1, TileOrder::n_fastest, MmaM::weights, Schedule::ping_pong, 2, TileSource::queue,
      Gather::in_kernel};
}

inline Environment sample_environment() {
  return {{"NVIDIA H200", 9, 0, 132, "1g.18gb"}, 232448, "GPU-1234", "580.95", "13.0", "13.0.48"};
}

/// An entry for token counts [lo, hi], measured at `lo`.
inline Entry sample_entry(int64_t lo = 769, int64_t hi = 1536, Source source = Source::tuned,
                          std::string date = "2026-11-20T12:34:56Z") {
  Entry entry;
  entry.problem = sample_problem();
  entry.env = sample_environment();
  entry.gen = {"0.1.0", "0123abcd", {"-std=c++17", "--use_fast_math"}};
  entry.tokens = {lo, lo, hi};
  entry.routing = {RoutingKind::zipf, 1.1, 97.25, 0.0625};
  entry.config = sample_config();
  entry.time = {123.456, {120.5, 125.75}, 60, "warm", 1980, 3};
  entry.baseline = Baseline{sample_config(128), 150.125, 1.216, {1.2, 1.25}};
  entry.alternatives = {{sample_config(32), 124.5}, {sample_config(16), 130.25}};
  entry.resources = {168, 98304, 16, 32, 2};
  entry.verify = {VerifyStatus::pass, "fp32", 0.00390625};
  entry.search = {216, 180, 36, 2, "converged"};
  entry.source = source;
  entry.date = std::move(date);
  return entry;
}

inline Attempt sample_attempt(int64_t tokens = 1024) {
  Attempt attempt;
  attempt.problem = sample_problem();
  attempt.env = sample_environment();
  attempt.gen = {"0.1.0", "0123abcd", {"-std=c++17"}};
  attempt.tokens = tokens;
  attempt.config = sample_config();
  attempt.status = AttemptStatus::timed;
  attempt.message = "line 1\nline \"2\"";
  attempt.rung = 2;
  attempt.resources = Resources{168, 98304, 16, 32, 2};
  attempt.verify = Verification{VerifyStatus::pass, "fp32", 0.00390625};
  attempt.time = Timing{123.456, {120.5, 125.75}, 60, "cold", 1980, 3};
  attempt.date = "2026-11-20T12:34:56Z";
  return attempt;
}

}  // namespace moe_tune::test
