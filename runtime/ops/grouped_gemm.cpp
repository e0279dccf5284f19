#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
#include "runtime/launch/relaxed_capture.hpp"
#include "runtime/ops/argument_checks.hpp"
#include "runtime/ops/gemm_arguments.hpp"
#include "runtime/ops/kernel_table.hpp"
#include "runtime/ops/library_state.hpp"
#include "tuning_db/lookup.hpp"

namespace moe_tune {

namespace {

constexpr ArgumentChecks checks("grouped GEMM");

}  // namespace

struct GroupedGemm::State {
  Library::State& library;
  Problem problem;
  DeviceState& device;
  std::optional<KernelConfig> fixed;  ///< given in code
  std::optional<KernelTable<GemmKernel>> kernels;

  State(Library::State& shared, const Problem& asked, int ordinal, const std::optional<KernelConfig>& config)
      : library(shared), problem(asked), device(shared.device(ordinal)), fixed(config) {
    KernelTableSources<GemmKernel> sources;
    sources.look_up = [this] { return make_ladder(); };
    sources.on_first_use = [this](const Choice& choice, std::int64_t tokens) { say(choice, tokens); };
    sources.load = [this](const KernelConfig& chosen, WeightLayout layout) {
      const CompiledKernel compiled = compile_kernel(cubin_cache(), problem, chosen, device.description(), layout);
      return std::make_unique<GemmKernel>(problem, chosen, compiled, device.info().sm_count);
    };
    if (library.entries->tunes()) {
      sources.tune = [this](std::int64_t tokens, const std::function<bool()>& missing) {
        library.entries->tune(problem, device.info().ordinal, tokens, missing);
      };
    }
    kernels.emplace(std::move(sources));
  }

  ~State() {
    // Modules unload in their context.
    const CurrentContext current(device.context());
    kernels.reset();
  }

  void say(const Choice& choice, std::int64_t tokens) const {
    log_line(LogLevel::info,
             fmt::format("{}, {} tokens: {} ({})", describe(problem), tokens, to_string(choice.config), choice.why));
    if (!choice.warning.empty()) log_line(LogLevel::warn, choice.warning);
  }

  Ladder make_ladder() const {
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
    if (fixed) {
      manual.source = "the config given in code";
      manual.configs[{problem.op, std::nullopt}] = OverrideConfig{manual.source, *fixed, {}};
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
    return Ladder(*library.entries->get(), request);
  }

  WeightLayout layout(int w_row_bytes) const {
    return problem.op == Op::dW || w_row_bytes == problem.K * element_bytes(problem.dtype) ? WeightLayout::contiguous
                                                                                           : WeightLayout::strided;
  }

  const GemmKernel& kernel(std::int64_t tokens, WeightLayout layout, CUstream stream) {
    if (const GemmKernel* ready = kernels->find(tokens, layout)) return *ready;
    return kernels->load(tokens, layout, library.entries->tunes() && !is_captured(stream));
  }

  void load_ahead(std::int64_t tokens, WeightLayout layout) {
    if (kernels->find(tokens, layout) == nullptr) kernels->load(tokens, layout, true);
  }

  /// The workspace that the caller gave, checked against what the kernel needs; null when none was given.
  void* given_workspace(const GroupedGemmArgs& a, std::size_t needed) const {
    if (a.workspace == nullptr || a.workspace_bytes >= needed) return a.workspace;
    // What workspace_bytes() said may have been of the config that served before tuning.
    if (library.entries->tunes()) return nullptr;
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
  const abi::GroupedGemmArgs checked = convert(state_->problem, args, state_->device.status_address());
  const WeightLayout layout = state_->layout(checked.w_row_bytes);
  const CurrentContext current(state_->device.context());
  state_->launch(state_->kernel(args.tokens, layout, stream), checked, args, stream);
  if (state_->library.options.check_each_call) state_->device.check_status(stream, describe(state_->problem));
}

void GroupedGemm::prepare(std::span<const std::int64_t> tokens, std::int64_t w_row_stride) {
  const Problem& p = state_->problem;
  const WeightLayout layout = state_->layout(checks.row_bytes("w", w_row_stride, p.K, weight_element_bytes(p)));
  const CurrentContext current(state_->device.context());
  std::size_t most_workspace = 0;
  for (const std::int64_t count : tokens) {
    state_->load_ahead(count, layout);
    most_workspace = std::max(most_workspace, workspace_bytes(count));
  }
  state_->device.workspaces().reserve(most_workspace);
}

std::size_t GroupedGemm::workspace_bytes(std::int64_t tokens) const {
  if (tokens < 0) throw UsageError(fmt::format("grouped GEMM: tokens = {}", tokens));
  const std::int64_t M = checked_mul(tokens, state_->problem.top_k, "grouped GEMM: tokens * top_k");
  const KernelConfig& config = state_->kernels->choice(tokens).config;
  return moe_tune::workspace_bytes(state_->problem, config, narrow<int>(M, "grouped GEMM: tokens * top_k"));
}

Selection GroupedGemm::selection(std::int64_t tokens) const {
  const Choice& choice = state_->kernels->choice(tokens);
  return {choice.config, choice.why, choice.warning};
}

}  // namespace moe_tune
