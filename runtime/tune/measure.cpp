#include "runtime/tune/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "generator/rows_gemm.hpp"
#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/reference/pre_activation.hpp"
#include "runtime/reference/routing_weights.hpp"
#include "runtime/tune/statistics.hpp"

namespace moe_tune {
namespace {

/// A GPU that stays slowed down for this many rounds in a row is measured as it is: it will not recover soon.
constexpr int max_disturbed_rounds = 10;
constexpr std::chrono::milliseconds recovery_pause{200};

constexpr unsigned char poison = 0xff;  // a NaN in every 16-bit and 32-bit format

}  // namespace

struct Workbench::Buffers {
  Workload workload;
  RoutedRows rows;
  DeviceBuffer x, w, y, reference, pre_activation, pre_activation_reference;
  DeviceBuffer m_sizes, gather_indices, topk_weights, flush, status, workspace, queue;

  /// What launches write, Y, dX or dW, is poison before; what they add to is random values, always the same.
  void prepare_output(const UtilityKernels& utility, CUstream stream) {
    const Problem& p = workload.problem;
    if (!p.accumulate) return (p.op == Op::dW ? w : y).fill(poison, stream);
    // A float32 value is a bf16 one with random further digits.
    const DType dtype = p.float32_dw ? DType::bf16 : p.dtype;
    const auto count = static_cast<std::int64_t>(w.bytes()) / element_bytes(dtype);
    utility.fill_random(w.address(), count, dtype, 1.0f, static_cast<std::uint32_t>(workload.seed) + 3, stream);
  }
  /// Launches follow one another: they share it.
  LaunchResources resources() const { return {workspace.get(), static_cast<unsigned*>(queue.get())}; }
};

Workbench::Workbench(int ordinal, CubinCache& cache, EmitFunction emit)
    : device_(query_device(ordinal)),
      cache_(cache),
      emit_(emit_or_default(std::move(emit))),
      context_(ordinal),
      clocks_(device_.uuid) {
  const CurrentContext current(context_.get());
  utility_ = std::make_unique<UtilityKernels>(cache_, arch_of(device_), device_.sm_count);
  stream_ = std::make_unique<Stream>();
}

Workbench::~Workbench() = default;

void Workbench::set_up(const Workload& workload) {
  const CurrentContext current(context_.get());
  const Problem& p = workload.problem;
  validate(p);
  kernels_.clear();
  buffers_.reset();
  auto b = std::make_unique<Buffers>();
  b->workload = workload;
  b->rows = route(workload.routing, workload.tokens, p.E, p.top_k);

  const WorkloadBytes bytes = workload_bytes(p, workload.tokens, device_.l2_bytes);
  const std::int64_t rows = workload_rows(p, workload.tokens);
  b->w = DeviceBuffer(static_cast<std::size_t>(bytes.weights));
  b->x = DeviceBuffer(static_cast<std::size_t>(bytes.x));
  b->y = DeviceBuffer(static_cast<std::size_t>(bytes.y));
  b->reference = DeviceBuffer(static_cast<std::size_t>(bytes.reference));
  b->pre_activation = DeviceBuffer(static_cast<std::size_t>(bytes.pre_activation));
  b->pre_activation_reference = DeviceBuffer(static_cast<std::size_t>(bytes.pre_activation_reference));
  b->workspace = DeviceBuffer(static_cast<std::size_t>(bytes.workspace));
  b->queue = DeviceBuffer(sizeof(unsigned));
  b->flush = DeviceBuffer(static_cast<std::size_t>(bytes.flush));
  b->status = DeviceBuffer(sizeof(unsigned));
  b->m_sizes = upload<int>(b->rows.m_sizes);
  b->gather_indices = upload<int>(b->rows.gather_indices);

  const CUstream stream = stream_->get();
  const auto seed = static_cast<std::uint32_t>(workload.seed);
  const auto fill = [&](const DeviceBuffer& target, float scale, std::uint32_t salt) {
    const auto count = static_cast<std::int64_t>(target.bytes()) / element_bytes(p.dtype);
    if (count > 0) utility_->fill_random(target.address(), count, p.dtype, scale, seed + salt, stream);
  };
  fill(b->x, 1.0f, 1);
  // Outputs of about unit size, as a layer's are.
  const bool of_weights = p.op == Op::dW;
  const double summed = of_weights ? static_cast<double>(rows) / p.E : rows_gemm(p).reduction;
  fill(of_weights ? b->y : b->w, static_cast<float>(1 / std::sqrt(std::max(1.0, summed))), 2);
  if (p.fuse_mul_post || p.fuse_mul_pre) {
    b->topk_weights = upload<std::uint16_t>(routing_weights(static_cast<std::size_t>(rows), p.dtype));
  }
  b->flush.fill(0, stream);
  b->status.fill(0, stream);
  b->queue.fill(0, stream);
  b->reference.fill(poison, stream);
  b->pre_activation_reference.fill(poison, stream);
  b->prepare_output(*utility_, stream);  // which the reference adds to where launches do
  buffers_ = std::move(b);
  const abi::GroupedGemmArgs args = arguments();
  utility_->reference(p, args, buffers_->reference.address(), stream);
  if (p.keep_pre_activation) {
    utility_->reference(pre_activation_problem(p), args, buffers_->pre_activation_reference.address(), stream);
  }
  stream_->synchronize();
}

abi::GroupedGemmArgs Workbench::arguments() const {
  const Buffers& b = buffers();
  const Problem& p = b.workload.problem;
  const std::int64_t element = element_bytes(p.dtype);
  const std::int64_t weight_element = weight_element_bytes(p);
  abi::GroupedGemmArgs args{};
  args.x = b.x.get();
  args.w = b.w.get();
  args.y = b.y.get();
  args.pre_activation = b.pre_activation.get();
  args.m_sizes = b.m_sizes.get();
  args.gather_indices = b.gather_indices.get();
  args.topk_weights = b.topk_weights.get();
  args.status = static_cast<unsigned*>(b.status.get());
  args.w_expert_bytes = static_cast<std::int64_t>(p.N) * p.K * weight_element;
  args.x_row_bytes = narrow<int>(rows_gemm(p).reduction * element, "bytes of a row of x");  // of dW K
  args.w_row_bytes = narrow<int>(p.K * weight_element, "bytes of a row of w");
  args.y_row_bytes = narrow<int>(output_columns(p) * element, "bytes of a row of y");
  args.pre_activation_row_bytes = narrow<int>(p.N * element, "bytes of a row of pre_activation");
  args.M = workload_rows(p, b.workload.tokens);
  return args;
}

const Workbench::Buffers& Workbench::buffers() const {
  if (!buffers_) throw UsageError("no workload is set up: call set_up first");
  return *buffers_;
}

const RoutedRows& Workbench::rows() const { return buffers().rows; }

GemmKernel& Workbench::kernel(const KernelConfig& config) {
  const Problem& problem = buffers().workload.problem;
  if (const auto found = kernels_.find(config); found != kernels_.end()) return found->second;
  const CompiledKernel compiled =
      cache_.get_or_compile(emit_(problem, config), arch_for(config.family, describe_device(device_)), to_string(config));
  return kernels_.try_emplace(config, problem, config, compiled, device_.sm_count).first->second;
}

Comparison Workbench::verify(const KernelConfig& config, const OnLaunch& on_launch) {
  const CurrentContext current(context_.get());
  const GemmKernel& candidate = kernel(config);
  const abi::GroupedGemmArgs args = arguments();
  const CUstream stream = stream_->get();
  if (on_launch) on_launch(0);
  buffers_->prepare_output(*utility_, stream);
  buffers_->pre_activation.fill(poison, stream);
  candidate.launch(args, buffers_->resources(), stream);
  stream_->synchronize();
  const Problem& problem = buffers_->workload.problem;
  const double tolerance = row_tolerance(problem);
  Comparison comparison = utility_->compare(problem, args, buffers_->reference.address(), tolerance, stream);
  if (!problem.keep_pre_activation) return comparison;
  return worst_of(std::move(comparison), utility_->compare(pre_activation_problem(problem), pre_activation_args(args),
                                                           buffers_->pre_activation_reference.address(), tolerance, stream));
}

int Workbench::resident_blocks(const KernelConfig& config) {
  const CurrentContext current(context_.get());
  return kernel(config).resident_blocks();
}

TimedRounds Workbench::time(std::span<const KernelConfig> configs, int rounds, std::uint64_t seed, const OnLaunch& on_launch) {
  const CurrentContext current(context_.get());
  const abi::GroupedGemmArgs args = arguments();
  const CUstream stream = stream_->get();
  const DeviceBuffer& flush = buffers_->flush;
  StopWatch watch;
  const auto sample = [&](int index) {
    const GemmKernel& candidate = kernel(configs[static_cast<std::size_t>(index)]);
    if (on_launch) on_launch(index);
    // The read also keeps the GPU busy until the launch is queued: the watch sees the kernel, not the way to it. It leaves no
    // dirty lines behind, which the measured kernel would have to write back.
    utility_->stream_read(flush.address(), static_cast<std::int64_t>(flush.bytes()), stream);
    watch.start(stream);
    candidate.launch(args, buffers_->resources(), stream);
    watch.stop(stream);
    return watch.microseconds();
  };

  std::vector<int> order(configs.size());
  std::iota(order.begin(), order.end(), 0);
  for (const int index : order) sample(index);  // the first launch of a kernel loads it

  TimedRounds timed;
  std::vector<double> mhz;
  std::mt19937_64 random(seed);
  int disturbed = 0;
  while (timed.rounds.size() < static_cast<std::size_t>(rounds)) {
    std::shuffle(order.begin(), order.end(), random);
    std::vector<double> samples(configs.size());
    for (const int index : order) samples[static_cast<std::size_t>(index)] = sample(index);
    const ClockMonitor::State state = clocks_.read();
    if (state.slowed && disturbed < max_disturbed_rounds) {
      ++disturbed;
      timed.discarded += static_cast<int>(configs.size());
      std::this_thread::sleep_for(recovery_pause);
      continue;
    }
    disturbed = 0;
    timed.rounds.push_back(std::move(samples));
    if (state.sm_mhz > 0) mhz.push_back(state.sm_mhz);
  }
  if (!mhz.empty()) timed.sm_mhz = static_cast<int>(median(mhz));
  return timed;
}

double Workbench::stream_read_us(std::int64_t bytes, int rounds) {
  const CurrentContext current(context_.get());
  const CUstream stream = stream_->get();
  const std::int64_t flush_bytes = (2 * device_.l2_bytes + 15) / 16 * 16;
  DeviceBuffer data(static_cast<std::size_t>(bytes));
  DeviceBuffer flush(static_cast<std::size_t>(flush_bytes));
  data.fill(0, stream);
  flush.fill(0, stream);
  StopWatch watch;
  std::vector<double> samples;
  for (int round = 0; round <= rounds; ++round) {
    utility_->stream_read(flush.address(), flush_bytes, stream);
    watch.start(stream);
    utility_->stream_read(data.address(), bytes, stream);
    watch.stop(stream);
    if (round > 0) samples.push_back(watch.microseconds());
  }
  return median(samples);
}

std::int64_t Workbench::free_bytes() const {
  const CurrentContext current(context_.get());
  std::size_t free = 0;
  std::size_t total = 0;
  driver().cuMemGetInfo(&free, &total);
  return static_cast<std::int64_t>(free);
}

}  // namespace moe_tune
