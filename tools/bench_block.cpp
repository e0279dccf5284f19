#include "tools/bench_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"
#include "moe_tune/moe_block.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/utility_kernels.hpp"
#include "runtime/tune/statistics.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* whole = "all";
/// In the order of a forward.
constexpr const char* steps_and_whole[] = {"shared_expert", "router", "permute", "gate_up", "down", "combine", whole};

/// An event before each step of one forward.
class StepEvents : public MoeStepObserver {
 public:
  explicit StepEvents(CUstream stream) : stream_(stream) {}
  ~StepEvents() override {
    for (const auto& [step, event] : events_) static_cast<void>(driver().cuEventDestroy.result(event));
  }
  StepEvents(const StepEvents&) = delete;
  StepEvents& operator=(const StepEvents&) = delete;

  void on_step(std::string_view step) override {
    CUevent event = nullptr;
    driver().cuEventCreate(&event, CU_EVENT_DEFAULT);
    events_.emplace_back(step, event);
    driver().cuEventRecord(event, stream_);
  }

  /// Waits, then adds the microseconds of each step to its samples.
  void add_to(std::map<std::string, std::vector<double>>& samples) const {
    driver().cuEventSynchronize(events_.back().second);
    for (std::size_t i = 0; i + 1 < events_.size(); ++i) {
      float milliseconds = 0;
      driver().cuEventElapsedTime(&milliseconds, events_[i].second, events_[i + 1].second);
      samples[events_[i].first].push_back(milliseconds * 1e3);
    }
  }

 private:
  CUstream stream_;
  std::vector<std::pair<std::string, CUevent>> events_;
};

/// A block with random weights, and the tensors of its calls.
class Bench {
 public:
  explicit Bench(const BlockBench& options)
      : options_(options),
        device_(query_device(options.ordinal)),
        context_(options.ordinal),
        current_(context_.get()),
        library_(options.library),
        utility_(cubin_cache(), arch_of(device_), device_.sm_count),
        flush_(static_cast<std::size_t>(2 * device_.l2_bytes / 16 * 16)) {
    flush_.fill(0, stream_.get());
    make_block();
  }

  void add_rows(Table& table, int tokens) {
    const std::int64_t counts[] = {tokens};
    block_->prepare(counts);
    const std::int64_t H = options_.model.H;
    const DeviceBuffer hidden = random({tokens, H}, 1.0);
    const DeviceBuffer out(static_cast<std::size_t>(tokens * H * element_bytes(options_.dtype)));
    const DeviceBuffer workspace(block_->workspace_bytes(tokens));
    MoeForwardArgs args;
    args.hidden_states = hidden.get();
    args.out = out.get();
    args.tokens = tokens;
    args.workspace = workspace.get();
    args.workspace_bytes = workspace.bytes();
    std::map<std::string, std::vector<double>> samples;
    measure(args, samples);
    if (const DeviceStatus status = library_.status(options_.ordinal, true))
      throw EnvironmentError(
          "bench --block: the kernels met bad device data; "
          "this is a defect, please report it");
    const double all = median(samples.at(whole));
    for (const std::string step : steps_and_whole) {
      const auto found = samples.find(step);
      if (found == samples.end()) continue;
      const Estimate time = estimate_median(found->second);
      table.add_row({std::int64_t{tokens}, step, time.median, step == whole ? Value() : Value(100 * time.median / all),
                     config_of(step, tokens), time.ci95.lo, time.ci95.hi, static_cast<std::int64_t>(found->second.size())});
    }
  }

 private:
  void make_block() {
    const ModelShape& m = options_.model;
    MoeWeights weights;
    const auto weight = [&](std::vector<std::int64_t> shape) {
      const double inputs = static_cast<double>(shape.back());
      buffers_.push_back(random(shape, 1 / std::sqrt(inputs)));
      return buffers_.back().get();
    };
    weights.gate = weight({m.E, m.H});
    weights.gate_up_proj = weight({m.E, std::int64_t{2} * m.I, m.H});
    weights.down_proj = weight({m.E, m.H, m.I});
    if (m.shared_expert_I > 0) {
      weights.shared_gate_up_proj = weight({std::int64_t{2} * m.shared_expert_I, m.H});
      weights.shared_down_proj = weight({m.H, m.shared_expert_I});
    }
    if (m.router == RouterKind::sigmoid) {
      block_ = std::make_unique<Llama4FusedTextMoe>(library_, m, options_.dtype, weights, options_.ordinal, options_.block);
    } else {
      block_ =
          std::make_unique<Qwen3MoeFusedGroupedGemmBlock>(library_, m, options_.dtype, weights, options_.ordinal, options_.block);
    }
  }

  DeviceBuffer random(const std::vector<std::int64_t>& shape, double scale) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count = checked_mul(count, size, "elements of a tensor");
    DeviceBuffer buffer(static_cast<std::size_t>(checked_mul(count, element_bytes(options_.dtype), "bytes of a tensor")));
    utility_.fill_random(buffer.address(), count, options_.dtype, static_cast<float>(scale),
                         static_cast<std::uint32_t>(options_.seed) + ++filled_, stream_.get());
    return buffer;
  }

  /// A sample of the whole and one of the steps in each round, in random order.
  void measure(const MoeForwardArgs& args, std::map<std::string, std::vector<double>>& samples) {
    std::mt19937_64 random(options_.seed);
    constexpr int warm_up = 3;
    for (int round = -warm_up; round < options_.rounds; ++round) {
      std::map<std::string, std::vector<double>> unused;
      auto& kept = round < 0 ? unused : samples;
      const bool steps_first = random() % 2 == 0;
      for (const bool steps : {steps_first, !steps_first}) {
        utility_.stream_read(flush_.address(), static_cast<std::int64_t>(flush_.bytes()), stream_.get());
        if (steps) {
          StepEvents events(stream_.get());
          block_->forward(args, stream_.get(), &events);
          events.add_to(kept);
        } else {
          StopWatch watch;
          watch.start(stream_.get());
          block_->forward(args, stream_.get());
          watch.stop(stream_.get());
          kept[whole].push_back(watch.microseconds());
        }
      }
    }
  }

  Value config_of(const std::string& step, int tokens) const {
    if (step != "gate_up" && step != "down") return {};
    return to_string(block_->selection(parse_gemm(step), tokens).config);
  }

  BlockBench options_;
  DeviceInfo device_;
  PrimaryContext context_;
  CurrentContext current_;
  Library library_;
  UtilityKernels utility_;
  Stream stream_;
  DeviceBuffer flush_;
  std::vector<DeviceBuffer> buffers_;
  std::unique_ptr<FusedMoeBlock> block_;
  std::uint32_t filled_ = 0;
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
