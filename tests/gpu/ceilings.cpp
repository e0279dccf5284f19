// How close the kernels come to this GPU's ceilings: a register-only mma.sync loop, and a plain streaming read. Prints JSON, one
// row per GEMM and token count of qwen3-30b-a3b: gpu_ceilings [CONFIG]... times these configs beside the default.
//
// Kernel, MMA loop and streaming read take turns, a few samples each, so that all see the same clocks; medians.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "generator/heuristics.hpp"
#include "generator/model.hpp"
#include "generator/models.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/tune/measure.hpp"
#include "runtime/tune/statistics.hpp"

using namespace moe_tune;

namespace {

constexpr int turns = 15;
constexpr int rounds_per_turn = 3;
constexpr int token_counts[] = {64, 1024, 8192};

/// TFLOP/s of the MMA loop, long enough to last about as long as the kernel.
double mma_tflops(const UtilityKernels& utility, const Stream& stream, StopWatch& watch, double kernel_flops) {
  const double flops_per_iteration = utility.mma_ceiling(DType::bf16, 1, stream.get());
  const int iterations = std::max(1000, static_cast<int>(kernel_flops / flops_per_iteration));
  watch.start(stream.get());
  const double flops = utility.mma_ceiling(DType::bf16, iterations, stream.get());
  watch.stop(stream.get());
  return flops / watch.microseconds() / 1e6;
}

void measure(Workbench& bench, const UtilityKernels& utility, const Stream& stream, const Problem& problem, int tokens,
             std::vector<KernelConfig> configs, bool last) {
  const DeviceDescription device = describe_device(bench.device());
  configs.insert(configs.begin(), default_config(problem, tokens, device));
  bench.set_up({problem, tokens, {}, 1});
  const std::vector<int>& m_sizes = bench.rows().m_sizes;
  const double work = flops(problem, m_sizes);
  const double bytes = minimum_bytes(problem, m_sizes);

  StopWatch watch;
  std::vector<std::vector<double>> kernel_us(configs.size());
  std::vector<double> mma;
  std::vector<double> stream_us;
  for (int turn = 0; turn < turns; ++turn) {
    for (const std::vector<double>& round : bench.time(configs, rounds_per_turn, static_cast<std::uint64_t>(turn)).rounds) {
      for (std::size_t i = 0; i < configs.size(); ++i) kernel_us[i].push_back(round[i]);
    }
    mma.push_back(mma_tflops(utility, stream, watch, work));
    stream_us.push_back(bench.stream_read_us(static_cast<std::int64_t>(bytes) / 16 * 16, rounds_per_turn));
  }
  for (std::size_t i = 0; i < configs.size(); ++i) {
    const double us = median(kernel_us[i]);
    const double tflops = work / us / 1e6;
    fmt::print(
        "{{\"gemm\": \"{}\", \"tokens\": {}, \"config\": \"{}\", \"us\": {:.1f}, \"tflops\": {:.1f}, \"mma_ceiling_tflops\": "
        "{:.1f}, "
        "\"share_of_mma\": {:.3f}, \"stream_us\": {:.1f}, \"share_of_stream\": {:.3f}, \"device\": \"{}\", \"driver\": "
        "\"{}\"}}{}\n",
        to_string(problem.gemm), tokens, to_string(configs[i]), us, tflops, median(mma), tflops / median(mma), median(stream_us),
        median(stream_us) / us, bench.device().name, bench.device().driver, last && i + 1 == configs.size() ? "" : ",");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (device_count() == 0) {
    std::puts("no GPU: not tried");
    return 77;
  }
  std::vector<KernelConfig> configs;
  for (int i = 1; i < argc; ++i) configs.push_back(parse_config(argv[i]));
  const PrimaryContext primary(0);
  const CurrentContext current(primary.get());
  Workbench bench(0, cubin_cache());
  const UtilityKernels utility(cubin_cache(), arch_of(bench.device()), bench.device().sm_count);
  const Stream stream;
  fmt::print("[\n");
  const auto problems = gemm_problems(find_model("qwen3-30b-a3b"), DType::bf16);
  for (const Problem& problem : problems) {
    for (const int tokens : token_counts) {
      measure(bench, utility, stream, problem, tokens, configs, problem.gemm == Gemm::down && tokens == 8192);
    }
  }
  fmt::print("]\n");
  return 0;
}
