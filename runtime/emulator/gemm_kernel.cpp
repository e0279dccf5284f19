#include "runtime/emulator/gemm_kernel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "generator/constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "generator/support/checked.hpp"
#include "runtime/emulator/random_values.hpp"
#include "runtime/emulator/tensor_map.hpp"
#include "runtime/launch/weights_maps.hpp"
#include "runtime/reference/grouped_gemm.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/pre_activation.hpp"
#include "runtime/reference/random.hpp"
#include "runtime/reference/routing_weights.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::byte poison{0xff};

}  // namespace

GemmKernel::GemmKernel(const Problem& problem, const KernelConfig& config, WeightLayout layout)
    : GemmKernel(problem, config, emit_kernel(problem, config, layout)) {}

GemmKernel::GemmKernel(const Problem& problem, const KernelConfig& config, std::string_view cuda_source)
    : problem_(problem), config_(config), kernel_(cuda_source) {}

void GemmKernel::launch(GlobalMemory& memory, const abi::GroupedGemmArgs& args, const LaunchResources& resources,
                        std::uint64_t seed) const {
  if (args.M == 0 && !writes_without_rows(problem_)) return;
  Launch launch;
  launch.seed = seed;
  launch.most_resident_threads = 2048 * sm_count;
  if (dispatches(problem_, config_) && args.M > 0) {
    launch.blocks = sm_count * abi::dispatch_blocks_per_sm;
    launch.threads = abi::dispatch_threads;
    launch.shared_bytes = static_cast<unsigned>(dispatch_shared_bytes(problem_));
    emulator::run(memory, launch, kernel_, dispatch_kernel_name, dispatch_args(problem_, args), resources.workspace);
  }
  launch.cluster = static_cast<unsigned>(config_.cluster);
  launch.blocks = static_cast<unsigned>(sm_count * config_.ctas_per_sm * config_.cluster);
  launch.threads = static_cast<unsigned>(threads_per_block(config_));
  launch.shared_bytes = static_cast<unsigned>(shared_memory_bytes(problem_, config_));
  if (config_.family == Family::sm80) {
    emulator::run(memory, launch, kernel_, kernel_name(problem_.op), args);
    return;
  }
  if (problem_.op == Op::dW) {
    emulator::run(memory, launch, kernel_, kernel_name(problem_.op),
                  weights_sm90_args(problem_, config_, args, resources, encode_emulated));
    return;
  }
  const abi::RowsSm90Args with_maps = rows_sm90_args(problem_, config_, args, resources, encode_emulated);
  if (const std::size_t words = copied_words(problem_, config_, args.M); words > 0) {
    const auto address = reinterpret_cast<std::uint64_t>(with_maps.copied);
    const Allocation& workspace = *memory.find(address);
    std::memset(workspace.data + (address - workspace.address), 0, words * sizeof(unsigned));
  }
  emulator::run(memory, launch, kernel_, kernel_name(problem_.op), with_maps);
}

GemmCase::GemmCase(const CaseSpec& spec) : spec_(spec) {
  const Problem& p = spec_.problem;
  const std::int64_t M = spec_.M();
  const RowsGemm gemm = rows_gemm(p);
  const std::int64_t x_rows = gathered_rows(p).any ? M / gathered_rows(p).slots_per_row : M;
  const std::int64_t x_stride = gemm.reduction + spec_.x_padding;
  const std::int64_t w_row_stride = p.K + spec_.w_row_padding;
  const std::int64_t w_stride = p.N * w_row_stride + spec_.w_expert_padding;
  const auto bytes = [](std::int64_t elements) { return static_cast<std::size_t>(elements) * 2; };

  // Without the padding after the last row: nothing may touch it.
  Allocation& x = memory_.allocate("x", bytes(x_rows == 0 ? 0 : (x_rows - 1) * x_stride + gemm.reduction), Use::read_only);
  x_ = &x;
  fill_random(x.as<std::uint16_t>().data(), 0, static_cast<std::int64_t>(x.bytes / 2), 1.0f, spec_.seed, p.dtype);
  Allocation& w = memory_.allocate("w", bytes((p.E - 1) * w_stride + (p.N - 1) * w_row_stride + p.K), Use::read_only);
  for (int expert = 0; expert < p.E; ++expert) {
    if (spec_.m_sizes[static_cast<std::size_t>(expert)] <= 0) continue;
    // Outputs of about unit size, as a layer's are.
    fill_random(w.as<std::uint16_t>().data(), expert * w_stride, (p.N - 1) * w_row_stride + p.K,
                1.0f / std::sqrt(static_cast<float>(gemm.reduction)), spec_.seed + 1000, p.dtype);
  }
  y_ = allocate_output("y", output_columns(p), spec_.y_padding);
  if (p.keep_pre_activation) pre_activation_ = allocate_output("pre_activation", p.N, spec_.pre_activation_padding);
  workspace_ = &memory_.allocate(
      "workspace", gathered_rows(p).any ? bytes(M * gemm.reduction) + static_cast<std::size_t>(most_copied_bytes(M)) : 0,
      Use::read_write);
  queue_ = &memory_.allocate("queue", sizeof(unsigned), Use::read_write);
  status_ = &memory_.allocate("status", sizeof(unsigned), Use::read_write);
  Allocation& m_sizes = upload_integers(memory_, "m_sizes", spec_.m_sizes, spec_.m_sizes_64);
  Allocation& gather_indices = upload_integers(memory_, "gather_indices", spec_.gather_indices, spec_.gather_indices_64);
  const auto slots = static_cast<std::size_t>(M);
  Allocation& topk_weights = spec_.topk_weights_f32
                                 ? memory_.upload<float>("topk_weights", routing_weights(slots))
                                 : memory_.upload<std::uint16_t>("topk_weights", routing_weights(slots, p.dtype));

  args_.x = x.get();
  args_.w = w.get();
  args_.y = y_.memory->get();
  if (p.keep_pre_activation) {
    args_.pre_activation = pre_activation_.memory->get();
    args_.pre_activation_row_bytes = narrow<int>(pre_activation_.stride * 2, "bytes of a row of pre_activation");
  }
  args_.m_sizes = m_sizes.get();
  args_.gather_indices = gather_indices.get();
  args_.topk_weights = topk_weights.get();
  args_.status = static_cast<unsigned*>(status_->get());
  args_.w_expert_bytes = w_stride * 2;
  args_.x_row_bytes = narrow<int>(x_stride * 2, "bytes of a row of x");
  args_.w_row_bytes = narrow<int>(w_row_stride * 2, "bytes of a row of w");
  args_.y_row_bytes = narrow<int>(y_.stride * 2, "bytes of a row of y");
  args_.M = spec_.M();
  args_.m_sizes_64 = spec_.m_sizes_64;
  args_.gather_indices_64 = spec_.gather_indices_64;
  args_.topk_weights_f32 = spec_.topk_weights_f32;
  host_args_ = args_;
  host_args_.x = x.data;
  host_args_.w = w.data;
  host_args_.y = y_.memory->data;
  if (p.keep_pre_activation) host_args_.pre_activation = pre_activation_.memory->data;
  host_args_.m_sizes = m_sizes.data;
  host_args_.gather_indices = gather_indices.data;
  host_args_.topk_weights = topk_weights.data;
  expected_status_ = reference_rows(p, host_args_, std::span<float>(y_.reference));
  if (p.keep_pre_activation) {
    reference_rows(pre_activation_problem(p), host_args_, std::span<float>(pre_activation_.reference));
  }
}

GemmCase::Output GemmCase::allocate_output(const char* name, int columns, int padding) {
  const std::int64_t M = spec_.M();
  Output output;
  output.columns = columns;
  output.stride = columns + padding;
  // Without the padding after the last row: nothing may touch it.
  const std::int64_t elements = M == 0 ? 0 : (M - 1) * output.stride + columns;
  output.memory = &memory_.allocate(name, static_cast<std::size_t>(elements) * 2, Use::read_write);
  output.reference.resize(static_cast<std::size_t>(M * columns));
  return output;
}

void GemmCase::set_x_row(int row, std::uint16_t bits) {
  std::uint16_t* first = x_->as<std::uint16_t>().data() + row * std::int64_t{args_.x_row_bytes} / 2;
  std::fill_n(first, rows_gemm(spec_.problem).reduction, bits);
}

unsigned GemmCase::run(const GemmKernel& kernel, std::uint64_t seed) {
  for (const Allocation* output : {y_.memory, pre_activation_.memory, workspace_}) {
    if (output != nullptr) std::fill_n(output->data, output->bytes, poison);
  }
  unsigned& queue = queue_->as<unsigned>()[0];
  unsigned& status = status_->as<unsigned>()[0];
  queue = status = 0;
  kernel.launch(memory_, args_, {workspace_->get(), static_cast<unsigned*>(queue_->get())}, seed);
  if (queue != 0) throw KernelFault(fmt::format("leaves {} in the queue counter, which must be 0 after a launch", queue));
  return status;
}

Comparison GemmCase::compare() const {
  const Problem& p = spec_.problem;
  Comparison result = compare(y_, p, host_args_);
  if (!p.keep_pre_activation) return result;
  return worst_of(std::move(result), compare(pre_activation_, pre_activation_problem(p), pre_activation_args(host_args_)));
}

Comparison GemmCase::compare(const Output& output, const Problem& problem, const abi::GroupedGemmArgs& args) const {
  Comparison result = compare_rows(problem, args, output.reference, row_tolerance(problem.dtype));
  for (int row = 0; row + 1 < spec_.M(); ++row) {
    const std::byte* padding = output.memory->data + (row * output.stride + output.columns) * 2;
    const std::byte* next_row = output.memory->data + (row + 1) * output.stride * 2;
    if (std::all_of(padding, next_row, [](std::byte b) { return b == poison; })) continue;
    ++result.bad_rows;
    if (result.first_bad_row < 0 || row < result.first_bad_row) result.first_bad_row = row;
    result.max_row_error = std::numeric_limits<double>::infinity();
  }
  return result;
}

std::vector<std::uint16_t> GemmCase::rows_of(const Output& output) const {
  std::vector<std::uint16_t> rows;
  for (int row = 0; row < spec_.M(); ++row) {
    const auto* first = output.memory->as<std::uint16_t>().data() + row * output.stride;
    rows.insert(rows.end(), first, first + output.columns);
  }
  return rows;
}

}  // namespace moe_tune::emulator
