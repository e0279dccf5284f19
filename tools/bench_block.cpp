#include "tools/bench_block.hpp"

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "moe_tune/error.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/utility_kernels.hpp"
#include "runtime/tune/statistics.hpp"
#include "tools/random_block.hpp"

namespace moe_tune::cli {

namespace {

constexpr std::string_view backward_prefix = "backward.";

/// Microseconds of all rounds.
struct Samples {
  struct Step {
    std::string name;
    std::vector<double> us;
  };
  std::vector<Step> steps;  ///< in the order in which they run
  std::vector<double> whole;

  void add(const std::string& name, double us) {
    const auto known = std::find_if(steps.begin(), steps.end(), [&](const Step& s) { return s.name == name; });
    Step& step = known == steps.end() ? steps.emplace_back(Step{name, {}}) : *known;
    step.us.push_back(us);
  }
};

/// An event before each step of one call, and one after it.
class StepEvents : public MoeStepObserver {
 public:
  explicit StepEvents(CUstream stream, std::string_view prefix = "") : stream_(stream), prefix_(prefix) {}
  ~StepEvents() override {
    for (const auto& [step, event] : events_) static_cast<void>(driver().cuEventDestroy.result(event));
  }
  StepEvents(const StepEvents&) = delete;
  StepEvents& operator=(const StepEvents&) = delete;

  void on_step(std::string_view step) override {
    CUevent event = nullptr;
    driver().cuEventCreate(&event, CU_EVENT_DEFAULT);
    events_.emplace_back(prefix_ + std::string(step), event);
    driver().cuEventRecord(event, stream_);
  }

  /// Waits, then adds the microseconds of each step to its samples.
  void add_to(Samples& samples) const {
    driver().cuEventSynchronize(events_.back().second);
    for (std::size_t i = 0; i + 1 < events_.size(); ++i) {
      float milliseconds = 0;
      driver().cuEventElapsedTime(&milliseconds, events_[i].second, events_[i + 1].second);
      samples.add(events_[i].first, milliseconds * 1e3);
    }
  }

 private:
  CUstream stream_;
  std::string prefix_;
  std::vector<std::pair<std::string, CUevent>> events_;
};

/// What a GEMM's step multiplies: "down" is of the forward, "backward.dX_down" a gradient. Nothing of other steps.
std::optional<std::pair<Op, Gemm>> gemm_of(std::string_view step) {
  if (step == "gate_up" || step == "down") return std::pair(Op::forward, parse_gemm(step));
  if (!step.starts_with(backward_prefix)) return std::nullopt;
  step.remove_prefix(backward_prefix.size());
  for (const Op op : {Op::dX, Op::dW}) {
    for (const Gemm gemm : {Gemm::gate_up, Gemm::down}) {
      if (step == std::string(to_string(op)) + "_" + std::string(to_string(gemm))) return std::pair(op, gemm);
    }
  }
  return std::nullopt;
}

class Bench {
 public:
  explicit Bench(const BlockBench& options)
      : options_(options),
        device_(query_device(options.ordinal)),
        context_(options.ordinal),
        current_(context_.get()),
        library_(options.library),
        utility_(cubin_cache(), arch_of(device_), device_.sm_count),
        flush_(static_cast<std::size_t>(2 * device_.l2_bytes / 16 * 16)),
        random_(options_, library_, utility_, stream_.get()) {
    flush_.fill(0, stream_.get());
  }

  void add_rows(Table& table, int tokens) {
    const Samples samples = measure(random_.call(tokens));
    if (const DeviceStatus status = library_.status(options_.ordinal, true))
      throw EnvironmentError("bench --block: the kernels met bad device data; this is a defect, please report it");
    const Estimate all = estimate_median(samples.whole);
    const auto add = [&](const std::string& step, const Estimate& time, Value share, Value config, std::size_t count) {
      table.add_row({std::int64_t{tokens}, step, time.median, std::move(share), std::move(config), time.ci95.lo, time.ci95.hi,
                     static_cast<std::int64_t>(count)});
    };
    for (const auto& [step, us] : samples.steps) {
      const Estimate time = estimate_median(us);
      const auto gemm = gemm_of(step);
      add(step, time, 100 * time.median / all.median,
          gemm ? Value(to_string(random_.config(gemm->first, gemm->second, tokens))) : Value(), us.size());
    }
    add("all", all, {}, {}, samples.whole.size());
  }

 private:
  /// A sample of the whole and one of the steps in each round, in random order.
  Samples measure(const BlockCall& call) {
    Samples samples;
    std::mt19937_64 random(options_.seed);
    constexpr int warm_up = 3;
    for (int round = -warm_up; round < options_.rounds; ++round) {
      Samples unused;
      Samples& kept = round < 0 ? unused : samples;
      const bool steps_first = random() % 2 == 0;
      for (const bool steps : {steps_first, !steps_first}) {
        utility_.stream_read(flush_.address(), static_cast<std::int64_t>(flush_.bytes()), stream_.get());
        if (steps) {
          time_steps(call, kept);
        } else {
          time_whole(call, kept);
        }
      }
    }
    return samples;
  }

  void time_steps(const BlockCall& call, Samples& samples) {
    StepEvents forward(stream_.get());
    StepEvents backward(stream_.get(), backward_prefix);
    run(call, &forward, &backward);
    forward.add_to(samples);
    if (options_.backward) backward.add_to(samples);
  }

  void time_whole(const BlockCall& call, Samples& samples) {
    StopWatch watch;
    watch.start(stream_.get());
    run(call, nullptr, nullptr);
    watch.stop(stream_.get());
    samples.whole.push_back(watch.microseconds());
  }

  void run(const BlockCall& call, MoeStepObserver* forward, MoeStepObserver* backward) {
    random_.block().forward(call.forward, stream_.get(), forward);
    if (options_.backward) random_.block().backward(call.backward, stream_.get(), backward);
  }

  BlockBench options_;
  DeviceInfo device_;
  PrimaryContext context_;
  CurrentContext current_;
  Library library_;
  UtilityKernels utility_;
  Stream stream_;
  DeviceBuffer flush_;
  RandomBlock random_;
};

}  // namespace

Table bench_block(const BlockBench& options) {
  Table table({{"tokens"},
               {"step"},
               {"us"},
               {"share_pct"},
               {"config"},
               {"us_ci95_from", 0, true},
               {"us_ci95_to", 0, true},
               {"samples", 0, true}});
  Bench bench(options);
  for (const int tokens : options.tokens) bench.add_rows(table, tokens);
  return table;
}

}  // namespace moe_tune::cli
