#include "runtime/tune/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "generator/config_space.hpp"
#include "generator/model.hpp"
#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"
#include "runtime/tune/candidates.hpp"
#include "runtime/tune/tokens.hpp"
#include "runtime/tune/workload.hpp"

namespace moe_tune {
namespace {

// What the estimates rest on: the kernels of qwen3-30b-a3b with NVRTC 13.0 on one core of a server.
constexpr double seconds_per_compile = 1.1;
constexpr double seconds_per_set_up = 1.0;    // allocations, random data, reference
constexpr double seconds_per_verify = 0.02;   // loading, one launch, comparison
constexpr double seconds_per_sample = 50e-6;  // launching and waiting, beside the kernel and the flush
constexpr int rounds_per_candidate = 7;       // of the first rung; the later ones and the decision cost about as much again
constexpr int decision_samples = 4 * 90;
constexpr double emulated_seconds_per_weight = 0.5e-6;  // of one expert, for all launches of a winner
constexpr double winners_per_point = 0.5;               // neighbouring token counts often share one

constexpr std::int64_t mib = std::int64_t{1} << 20;
constexpr std::int64_t context_bytes = 512 * mib;          // CUDA context, modules, allocator granularity
constexpr std::int64_t compiler_host_bytes = 250 * mib;    // a worker with NVRTC compiling
constexpr std::int64_t gpu_worker_host_bytes = 700 * mib;  // a worker with a CUDA context
constexpr std::int64_t emulator_host_bytes = 200 * mib;    // a worker with the emulated device, beside weights

void check(const TuneOptions& options) {
  if (options.problems.empty()) throw UsageError("nothing to tune: no GEMM is given");
  if (options.tokens.empty()) throw UsageError("nothing to tune: no token count is given");
  if (!std::is_sorted(options.tokens.begin(), options.tokens.end(), std::less_equal<>())) {
    throw UsageError("token counts are not ascending");
  }
  if (options.min_gain < 0) throw UsageError(fmt::format("the minimal gain is {}, below 0", options.min_gain));
  for (const Problem& problem : options.problems) {
    validate(problem);
    if (problem.top_k > problem.E) {
      throw UsageError(fmt::format("{}: top_k = {} is larger than E = {}: a token cannot choose an expert twice",
                                   describe(problem), problem.top_k, problem.E));
    }
    workload_rows(problem, options.tokens.back());
  }
}

double gb(std::int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

/// Expected seconds to verify and time `count` candidates that take about `kernel_us`.
double measuring_seconds(int count, double kernel_us, const DeviceDescription& device) {
  const double flush = 2 * static_cast<double>(device.l2_bytes) / (device.dram_gb_per_s * 1e9);
  const double sample = seconds_per_sample + flush + 1.5 * kernel_us * 1e-6;
  return seconds_per_set_up + count * seconds_per_verify + (2 * rounds_per_candidate * count + decision_samples) * sample;
}

void refuse_what_does_not_fit(const TuneOptions& options, TunePlan& plan) {
  const std::string& name = options.target.device.name;
  if (plan.layer_weight_bytes > options.target.device.memory_bytes) {
    plan.refusals.push_back(
        fmt::format("the expert weights of one layer are {:.1f} GB; {} has {:.1f} GB of memory. Tune for a larger device, or for "
                    "the experts that "
                    "one device of a group holds",
                    gb(plan.layer_weight_bytes), name, gb(options.target.device.memory_bytes)));
  }
  if (plan.device_bytes > plan.device_available) {
    plan.refusals.push_back(fmt::format(
        "measuring needs {:.1f} GB of device memory at its largest point (weights, x, y, a float32 reference); {} has "
        "{:.1f} GB free. End other processes on it, or give fewer tokens",
        gb(plan.device_bytes), name, gb(plan.device_available)));
  }
  if (plan.host_available > 0 && plan.host_bytes > plan.host_available) {
    plan.refusals.push_back(
        fmt::format("{} parallel compilations and the worker that runs kernels need {:.1f} GB of host memory; {:.1f} GB are "
                    "available. Give a smaller --jobs",
                    options.jobs, gb(plan.host_bytes), gb(plan.host_available)));
  }
}

}  // namespace

int TunePlan::compile() const {
  int sum = 0;
  for (const PointPlan& point : points) sum += point.compile;
  return sum;
}

int TunePlan::measure() const {
  int sum = 0;
  for (const PointPlan& point : points) sum += point.measure;
  return sum;
}

TunePlan make_plan(const TuneOptions& options) {
  check(options);
  const DeviceDescription& device = options.target.device;
  const History history(options);
  const std::vector<TokenRange> ranges = token_ranges(options.tokens);
  TunePlan plan;
  std::int64_t host_rows = 0;
  std::int64_t weights_of_expert = 0;  // bytes
  for (const Problem& problem : options.problems) {
    const std::vector<KernelConfig> space = config_space(problem, device);
    std::set<KernelConfig> compiled;  // a config is compiled once for all token counts
    plan.layer_weight_bytes += workload_bytes(problem, options.tokens.front(), device.l2_bytes).weights;
    for (std::size_t i = 0; i < options.tokens.size(); ++i) {
      PointPlan point;
      point.problem = problem;
      point.tokens = options.tokens[i];
      point.range = ranges[i];
      point.space = static_cast<int>(space.size());
      point.done = !options.retune && history.decided(problem, point.tokens).has_value();
      if (!point.done) {
        const RoutedRows rows = route(options.routing, point.tokens, problem.E, problem.top_k);
        const Candidates candidates = choose_candidates(options, problem, point.tokens, rows.m_sizes, space, {}, history);
        for (const KernelConfig& config : candidates.configs) point.compile += compiled.insert(config).second ? 1 : 0;
        point.seconds = std::ceil(static_cast<double>(point.compile) / options.jobs) * seconds_per_compile;
        host_rows = std::max<std::int64_t>(host_rows, workload_rows(problem, point.tokens));
        const std::int64_t weights = std::int64_t{problem.N} * problem.K;
        weights_of_expert = std::max(weights_of_expert, weights * weight_element_bytes(problem));
        if (!options.target.live) {
          point.seconds += winners_per_point * emulated_seconds_per_weight * static_cast<double>(weights);
        } else {
          point.measure = static_cast<int>(candidates.configs.size());
          point.device_bytes = workload_bytes(problem, point.tokens, device.l2_bytes).total();
          const double kernel_us = candidates.ranking.empty() ? 0 : candidates.ranking.front().prediction.total;
          point.seconds += measuring_seconds(point.measure, kernel_us, device);
          plan.device_bytes = std::max(plan.device_bytes, point.device_bytes + context_bytes);
        }
        plan.seconds += point.seconds;
      }
      plan.points.push_back(point);
    }
  }
  plan.device_available = options.target.free_bytes;
  const std::int64_t runner =
      options.target.live ? gpu_worker_host_bytes : emulator_host_bytes + Place{}.experts * weights_of_expert;
  plan.host_bytes = options.jobs * compiler_host_bytes + runner + 2 * host_rows * static_cast<std::int64_t>(sizeof(int));
  plan.host_available = available_host_bytes();
  refuse_what_does_not_fit(options, plan);
  return plan;
}

std::int64_t available_host_bytes() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    std::istringstream words(line);
    std::string key;
    std::int64_t kib = 0;
    if (words >> key >> kib && key == "MemAvailable:") return kib * 1024;
  }
  return 0;
}

}  // namespace moe_tune
