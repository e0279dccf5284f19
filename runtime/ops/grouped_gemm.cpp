#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "generator/emit.hpp"
#include "generator/heuristics.hpp"
#include "generator/support/checked.hpp"
#include "generator/support/log.hpp"
#include "moe_tune/grouped_gemm.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/jit/nvrtc.hpp"
#include "runtime/launch/gemm_kernel.hpp"
#include "runtime/ops/argument_checks.hpp"
#include "runtime/ops/library_state.hpp"
#include "tuning_db/lookup.hpp"

namespace moe_tune {

namespace {

constexpr ArgumentChecks checks("grouped GEMM");

}  // namespace

struct GroupedGemm::State {
  /// A choice of the ladder, compiled and loaded on first use: with contiguous weights and with strided ones.
  struct Slot {
    std::array<std::atomic<const GemmKernel*>, 2> ready{};
    std::array<std::unique_ptr<GemmKernel>, 2> owned;
  };

  Library::State& library;
  Problem problem;
  DeviceState& device;
  Ladder ladder;
  std::vector<Slot> slots;
  std::mutex loading;

  State(Library::State& shared, const Problem& asked, int ordinal, const std::optional<KernelConfig>& config)
      : library(shared),
        problem(asked),
        device(shared.device(ordinal)),
        ladder(make_ladder(config)),
        slots(static_cast<std::size_t>(ladder.size())) {}

  ~State() {
    // Modules unload in their context.
    const CurrentContext current(device.context());
    slots.clear();
  }

  Ladder make_ladder(const std::optional<KernelConfig>& config) const {
    const DeviceDescription& description = device.description();
    Override manual;
    LookupRequest request;
    request.problem = problem;
    request.device = {device.info().name, device.info().cc_major, device.info().cc_minor, device.info().sm_count,
                      device.info().mig};
    request.source_hashes = source_hashes(problem.op);
    request.nvrtc = to_string(nvrtc().version());
    request.heuristic = [&](std::int64_t tokens) { return default_config(problem, tokens, description); };
    request.in_space = [&](const KernelConfig& candidate) { return in_config_space(problem, candidate, description); };
    if (config) {
      manual.source = "the config given in code";
      manual.configs[{problem.op, std::nullopt}] = OverrideConfig{manual.source, *config, {}};
      request.override_file = &manual;
    } else if (library.override_file) {
      request.override_file = &*library.override_file;
    }
    if (request.override_file != nullptr) {
      if (const auto chosen = select(*request.override_file, problem)) {
        if (const auto reason = reject(problem, *chosen, description)) {
          throw UsageError(fmt::format("{}: {} cannot serve {}: {}", request.override_file->source, to_string(*chosen),
                                       describe(problem), *reason));
        }
      }
    }
    return Ladder(library.entries, request);
  }

  WeightLayout layout(int w_row_bytes) const {
    return problem.op == Op::dW || w_row_bytes == problem.K * element_bytes(problem.dtype) ? WeightLayout::contiguous
                                                                                           : WeightLayout::strided;
  }

  const GemmKernel& kernel(std::int64_t tokens, WeightLayout layout) {
    const int index = ladder.find(tokens);
    Slot& slot = slots[static_cast<std::size_t>(index)];
    const auto variant = static_cast<std::size_t>(layout);
    if (const GemmKernel* ready = slot.ready[variant].load(std::memory_order_acquire)) return *ready;
    const std::lock_guard lock(loading);
    if (!slot.owned[variant]) {
      const Choice& choice = ladder.choice(index);
      log_line(LogLevel::info,
               fmt::format("{}, {} tokens: {} ({})", describe(problem), tokens, to_string(choice.config), choice.why));
      if (!choice.warning.empty()) log_line(LogLevel::warn, choice.warning);
      const CompiledKernel compiled = compile_kernel(cubin_cache(), problem, choice.config, device.description(), layout);
      slot.owned[variant] = std::make_unique<GemmKernel>(problem, choice.config, compiled, device.info().sm_count);
      slot.ready[variant].store(slot.owned[variant].get(), std::memory_order_release);
    }
    return *slot.owned[variant];
  }

  abi::GroupedGemmArgs checked(const GroupedGemmArgs& a) const {
    const Problem& p = problem;
    if (a.tokens < 0) throw UsageError(fmt::format("grouped GEMM: tokens = {}", a.tokens));
    const int M = narrow<int>(checked_mul(a.tokens, p.top_k, "grouped GEMM: tokens * top_k"), "grouped GEMM: tokens * top_k");
    if (a.max_sms < 0) throw UsageError(fmt::format("grouped GEMM: max_sms = {}", a.max_sms));
    const bool any = M > 0;
    const bool writes = any || writes_without_rows(p);
    const void* x = p.op == Op::dX ? a.dx : a.x;
    const void* w = p.op == Op::dW ? a.dw : a.w;
    const void* y = p.op == Op::forward ? a.y : a.dy;
    const char* const x_name = p.op == Op::dX ? "dx" : "x";
    const char* const w_name = p.op == Op::dW ? "dw" : "w";
    const char* const y_name = p.op == Op::forward ? "y" : "dy";
    checks.pointer(x_name, x, tensor_alignment, any);
    checks.pointer(w_name, w, tensor_alignment, writes);
    checks.pointer(y_name, y, tensor_alignment, any);
    checks.pointer("m_sizes", a.m_sizes, bytes_of(a.m_sizes_type), writes);
    checks.pointer("gather_indices", a.gather_indices, bytes_of(a.gather_indices_type), any && (p.permute_x || p.permute_y),
                   ", and the problem permutes rows");
    checks.pointer("topk_weights", a.topk_weights, bytes_of(a.topk_weights_type, element_bytes(p.dtype)),
                   any && (p.fuse_mul_post || p.fuse_mul_pre), ", and the problem scales rows");
    checks.pointer("pre_activation", a.pre_activation, tensor_alignment, any && p.keep_pre_activation,
                   ", and the problem has keep_pre_activation");
    checks.pointer("workspace", a.workspace, tensor_alignment, false);

    const int element = element_bytes(p.dtype);
    const int weight_element = weight_element_bytes(p);
    abi::GroupedGemmArgs args{};
    // Kernels of dX read rows of dY as those of forward read X, and write dX as those write Y.
    args.x = p.op == Op::dX ? y : x;
    args.w = w;
    args.y = const_cast<void*>(p.op == Op::dX ? x : y);  // of dW it is read
    args.m_sizes = a.m_sizes;
    args.gather_indices = a.gather_indices;
    args.topk_weights = a.topk_weights;
    args.status = device.status_address();
    args.x_row_bytes = checks.row_bytes(x_name, a.x_row_stride, p.K, element);
    args.w_row_bytes = checks.row_bytes(w_name, a.w_row_stride, p.K, weight_element);
    args.y_row_bytes = checks.row_bytes(y_name, a.y_row_stride, p.fuse_swiglu ? p.N / 2 : p.N, element);
    if (p.op == Op::dX) std::swap(args.x_row_bytes, args.y_row_bytes);
    if (p.keep_pre_activation) {
      args.pre_activation = a.pre_activation;
      args.pre_activation_row_bytes = checks.row_bytes("pre_activation", a.pre_activation_row_stride, p.N, element);
    }
    const std::int64_t matrix = checked_mul(args.w_row_bytes, p.N, "bytes of one expert's weight");
    args.w_expert_bytes =
        a.w_expert_stride == 0 ? matrix : checked_mul(a.w_expert_stride, weight_element, "grouped GEMM: w expert stride");
    if (args.w_expert_bytes % tensor_alignment != 0 || (args.w_expert_bytes < matrix - args.w_row_bytes + p.K * weight_element)) {
      throw UsageError(
          fmt::format("grouped GEMM: {} expert stride {} is less than one expert's matrix or not a multiple of {} elements",
                      w_name, a.w_expert_stride, tensor_alignment / weight_element));
    }
    args.M = M;
    args.m_sizes_64 = a.m_sizes_type == IndexType::int64;
    args.gather_indices_64 = a.gather_indices_type == IndexType::int64;
    args.topk_weights_f32 = a.topk_weights_type == WeightType::float32;
    return args;
  }

  /// The workspace that the caller gave, checked against what the kernel needs; null when none was given.
  static void* given_workspace(const GroupedGemmArgs& a, std::size_t needed) {
    if (a.workspace == nullptr || a.workspace_bytes >= needed) return a.workspace;
    throw UsageError(
        fmt::format("grouped GEMM: the workspace has {} bytes; {} tokens need {}: give as many as workspace_bytes() "
                    "says, or none",
                    a.workspace_bytes, a.tokens, needed));
  }

  void launch(const GemmKernel& kernel, const abi::GroupedGemmArgs& args, const GroupedGemmArgs& a, CUstream stream) {
    const std::size_t needed = kernel.workspace_bytes(args.M);
    LaunchResources resources{given_workspace(a, needed), nullptr};
    if (args.M == 0 && !writes_without_rows(problem)) return;
    if (kernel.needs_queue()) resources.queue = queue_counter(device.queue_counters(), stream);
    const PooledWorkspace pooled(device.workspaces(), resources.workspace == nullptr ? needed : 0, stream);
    if (resources.workspace == nullptr) resources.workspace = pooled.get();
    kernel.launch(args, resources, stream, a.max_sms);
  }
};

GroupedGemm::GroupedGemm(Library& library, const Problem& problem, int device, const std::optional<KernelConfig>& config) {
  validate(problem);
  state_ = std::make_unique<State>(*library.state_, problem, device, config);
}

GroupedGemm::~GroupedGemm() = default;
GroupedGemm::GroupedGemm(GroupedGemm&&) noexcept = default;
GroupedGemm& GroupedGemm::operator=(GroupedGemm&&) noexcept = default;

void GroupedGemm::run(const GroupedGemmArgs& args, CUstream stream) {
  const abi::GroupedGemmArgs checked = state_->checked(args);
  const WeightLayout layout = state_->layout(checked.w_row_bytes);
  const CurrentContext current(state_->device.context());
  state_->launch(state_->kernel(args.tokens, layout), checked, args, stream);
  if (state_->library.options.check_each_call) state_->device.check_status(stream, describe(state_->problem));
}

void GroupedGemm::prepare(std::span<const std::int64_t> tokens, std::int64_t w_row_stride) {
  const Problem& p = state_->problem;
  const WeightLayout layout = state_->layout(checks.row_bytes("w", w_row_stride, p.K, weight_element_bytes(p)));
  const CurrentContext current(state_->device.context());
  std::size_t most_workspace = 0;
  for (const std::int64_t count : tokens) {
    state_->kernel(count, layout);
    most_workspace = std::max(most_workspace, workspace_bytes(count));
  }
  state_->device.workspaces().reserve(most_workspace);
}

std::size_t GroupedGemm::workspace_bytes(std::int64_t tokens) const {
  if (tokens < 0) throw UsageError(fmt::format("grouped GEMM: tokens = {}", tokens));
  const std::int64_t M = checked_mul(tokens, state_->problem.top_k, "grouped GEMM: tokens * top_k");
  const KernelConfig& config = state_->ladder.config(state_->ladder.find(tokens));
  return moe_tune::workspace_bytes(state_->problem, config, narrow<int>(M, "grouped GEMM: tokens * top_k"));
}

Selection GroupedGemm::selection(std::int64_t tokens) const {
  const Choice& choice = state_->ladder.choice(state_->ladder.find(tokens));
  return {choice.config, choice.why, choice.warning};
}

}  // namespace moe_tune
