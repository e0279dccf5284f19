#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "generator/models.hpp"
#include "generator/support/checked.hpp"
#include "moe_tune/moe_block.hpp"
#include "runtime/blocks/block_forward.hpp"
#include "runtime/blocks/block_options.hpp"
#include "runtime/blocks/gpu_executor.hpp"
#include "runtime/blocks/load_weights.hpp"
#include "runtime/blocks/model_checks.hpp"
#include "runtime/ops/argument_checks.hpp"
#include "runtime/ops/library_state.hpp"

namespace moe_tune {

namespace {

constexpr ArgumentChecks checks("MoE block");

}  // namespace

struct FusedMoeBlock::State {
  Library::State& library;
  DeviceState& device;
  int ordinal;
  ModelShape config;  ///< of the model, whatever part of it this process has
  BlockShape shape;
  FusedBlockOptions options;
  BlockOperations operations;
  SideStreams side_streams;
  MoeWeights weights;
  OwnedWeights owned;  ///< empty unless the block has weights of its own

  State(Library& shared, Library::State& state, const ModelShape& model, DType dtype, int number, const FusedBlockOptions& given)
      : library(state),
        device(state.device(number)),
        ordinal(number),
        config(model),
        shape(make_shape(model, dtype, given)),
        options(given),
        operations{Router(shared, router_problem(shape), number), RowOperations(shared, number), {}} {
    require_consistent(options);
    if (!runs_on(Family::sm90, device.description())) {
      throw UsageError(
          fmt::format("MoE block: fused blocks need a GPU of compute capability 9.0, for SwiGLU in the first GEMM; device {} is "
                      "{} ({}.{}): run the reference block there, whose steps are kernels of their own",
                      ordinal, device.info().name, device.info().cc_major, device.info().cc_minor));
    }
    add_gemm(shared, BlockGemm::gate_up, options.kernel_config_fwd.gate_up);
    add_gemm(shared, BlockGemm::down, options.kernel_config_fwd.down);
    if (shape.has_shared_expert()) {
      // Manual configs are made for many experts; what one dense expert wants is always looked up.
      add_gemm(shared, BlockGemm::shared_gate_up, std::nullopt);
      add_gemm(shared, BlockGemm::shared_down, std::nullopt);
    }
    check_gradient_config(Op::dX, BlockGemm::gate_up, options.kernel_config_bwd_dX.gate_up);
    check_gradient_config(Op::dX, BlockGemm::down, options.kernel_config_bwd_dX.down);
    check_gradient_config(Op::dW, BlockGemm::gate_up, options.kernel_config_bwd_dW.gate_up);
    check_gradient_config(Op::dW, BlockGemm::down, options.kernel_config_bwd_dW.down);
  }

  ~State() {
    // Streams go in their context.
    const CurrentContext current(device.context());
    side_streams.clear();
  }

  WeightShapes weight_shapes() const { return {shape.model, shape.experts, tensor_type(shape.dtype)}; }

  void own(OwnedWeights weights_of_block) {
    owned = std::move(weights_of_block);
    weights = owned.addresses();
  }

  void add_gemm(Library& shared, BlockGemm gemm, const std::optional<KernelConfig>& kernel) {
    operations.gemms[static_cast<std::size_t>(gemm)].emplace(shared, problem_of(shape, gemm), ordinal, kernel);
  }

  void check_gradient_config(Op op, BlockGemm gemm, const std::optional<KernelConfig>& kernel) const {
    if (!kernel) return;
    Problem problem = problem_of(shape, gemm);
    problem.op = op;
    for (const ProblemFlag& flag : problem_flags()) {
      if (!flag.fusion.empty()) problem.*flag.member = false;  // those of forward
    }
    if (const auto reason = reject(problem, *kernel, device.description())) {
      throw UsageError(fmt::format("MoE block: {} cannot serve {}: {}", to_string(*kernel), describe(problem), *reason));
    }
  }

  OperationNeeds needs(std::int64_t tokens) const {
    return {operations.router.workspace_bytes(tokens), operations.gemm(BlockGemm::gate_up).workspace_bytes(tokens)};
  }

  std::size_t workspace_bytes(std::int64_t tokens) const {
    if (tokens < 0) throw UsageError(fmt::format("MoE block: tokens = {}", tokens));
    return BlockWorkspace(shape, tokens, needs(tokens), nullptr).bytes;
  }

  void check(const MoeForwardArgs& a) const {
    if (a.tokens < 0) throw UsageError(fmt::format("MoE block: tokens = {}", a.tokens));
    const bool any = a.tokens > 0;
    constexpr const char* missing = ": give the block weights, or call copy_weights() first";
    checks.pointer("hidden_states", a.hidden_states, tensor_alignment, any);
    checks.pointer("out", a.out, tensor_alignment, any);
    checks.pointer("router_logits", a.router_logits, element_bytes(shape.dtype), false);
    checks.pointer("selected_experts", a.selected_experts, 4, any && a.inject_selection, ", and inject_selection is set");
    checks.pointer("topk_weights", a.topk_weights, element_bytes(shape.dtype), false);
    checks.pointer("token_count", a.token_count, 4, false);
    checks.pointer("workspace", a.workspace, tensor_alignment, false);
    checks.pointer("the weight gate", weights.gate, tensor_alignment, any, missing);
    checks.pointer("the weight gate_up_proj", weights.gate_up_proj, tensor_alignment, any, missing);
    checks.pointer("the weight down_proj", weights.down_proj, tensor_alignment, any, missing);
    checks.pointer("the weight shared_gate_up_proj", weights.shared_gate_up_proj, tensor_alignment,
                   any && shape.has_shared_expert(), missing);
    checks.pointer("the weight shared_down_proj", weights.shared_down_proj, tensor_alignment, any && shape.has_shared_expert(),
                   missing);
  }

  void forward(const MoeForwardArgs& args, CUstream stream, MoeStepObserver* observer) {
    check(args);
    if (args.tokens == 0) return;
    const CurrentContext current(device.context());
    const OperationNeeds operation_needs = needs(args.tokens);
    const std::size_t bytes = BlockWorkspace(shape, args.tokens, operation_needs, nullptr).bytes;
    if (args.workspace != nullptr && args.workspace_bytes < bytes) {
      throw UsageError(
          fmt::format("MoE block: the workspace has {} bytes; {} tokens need {}: give as many as workspace_bytes() says, or none",
                      args.workspace_bytes, args.tokens, bytes));
    }
    const PooledWorkspace pooled(device.workspaces(), args.workspace == nullptr ? bytes : 0, stream);
    const BlockWorkspace workspace(shape, args.tokens, operation_needs,
                                   args.workspace == nullptr ? pooled.get() : args.workspace);
    GpuExecutor executor(operations, side_streams, stream);
    enqueue_forward(shape, weights, args, workspace, executor, observer);
  }

  void prepare(std::span<const std::int64_t> tokens) {
    const CurrentContext current(device.context());
    operations.router.prepare();
    operations.rows.prepare();
    for (auto& gemm : operations.gemms) {
      if (gemm) gemm->prepare(tokens);
    }
    std::size_t most = 0;
    for (const std::int64_t count : tokens) most = std::max(most, workspace_bytes(count));
    device.workspaces().reserve(most);
  }
};

FusedMoeBlock::FusedMoeBlock(Library& library, const ModelShape& config, DType dtype, int device,
                             const FusedBlockOptions& options)
    : state_(std::make_unique<State>(library, *library.state_, config, dtype, device, options)) {}

FusedMoeBlock::~FusedMoeBlock() = default;
FusedMoeBlock::FusedMoeBlock(FusedMoeBlock&&) noexcept = default;
FusedMoeBlock& FusedMoeBlock::operator=(FusedMoeBlock&&) noexcept = default;

void FusedMoeBlock::forward(const MoeForwardArgs& args, CUstream stream, MoeStepObserver* observer) {
  state_->forward(args, stream, observer);
}

std::size_t FusedMoeBlock::workspace_bytes(std::int64_t tokens) const { return state_->workspace_bytes(tokens); }

void FusedMoeBlock::prepare(std::span<const std::int64_t> tokens) { state_->prepare(tokens); }

Selection FusedMoeBlock::selection(Gemm gemm, std::int64_t tokens) const {
  return state_->operations.gemm(gemm == Gemm::gate_up ? BlockGemm::gate_up : BlockGemm::down).selection(tokens);
}

const ModelShape& FusedMoeBlock::config() const { return state_->config; }
DType FusedMoeBlock::dtype() const { return state_->shape.dtype; }
int FusedMoeBlock::device() const { return state_->ordinal; }
const MoeWeights& FusedMoeBlock::weights() const { return state_->weights; }

void FusedMoeBlock::use_weights(const MoeWeights& weights) { state_->weights = weights; }

void FusedMoeBlock::load_weights(const std::filesystem::path& checkpoint, int layer) {
  state_->own(moe_tune::load_weights(checkpoint, layer, state_->weight_shapes(), state_->ordinal));
}

void FusedMoeBlock::copy_weights(const MoeWeights& weights) {
  state_->own(moe_tune::copy_weights(weights, state_->weight_shapes(), state_->ordinal));
}

void FusedMoeBlock::check_weights(const std::filesystem::path& checkpoint, int layer) const {
  compare_weights(checkpoint, layer, state_->weight_shapes(), state_->weights, state_->ordinal);
}

namespace {

/// What a checkpoint's blocks are, in `dtype` if that is given.
WeightShapes fused_shapes(const std::filesystem::path& checkpoint, std::optional<DType> dtype) {
  return checkpoint_shapes(checkpoint, dtype ? std::optional(tensor_type(*dtype)) : std::nullopt);
}

}  // namespace

Qwen3MoeFusedGroupedGemmBlock::Qwen3MoeFusedGroupedGemmBlock(Library& library, const ModelShape& config, DType dtype,
                                                             const MoeWeights& weights, int device,
                                                             const FusedBlockOptions& options)
    : FusedMoeBlock(library, (require_qwen3(config), config), dtype, device, options) {
  if (options.overlap_router_shared) throw UsageError("MoE block: overlap_router_shared: Qwen3 has no shared expert");
  use_weights(weights);
}

Qwen3MoeFusedGroupedGemmBlock Qwen3MoeFusedGroupedGemmBlock::from_hf(Library& library, const std::filesystem::path& checkpoint,
                                                                     int layer, int device, const FusedBlockOptions& options,
                                                                     std::optional<DType> dtype) {
  const WeightShapes shapes = fused_shapes(checkpoint, dtype);
  Qwen3MoeFusedGroupedGemmBlock block(library, shapes.model, storage_dtype(shapes.type), {}, device, options);
  block.load_weights(checkpoint, layer);
  return block;
}

Llama4FusedTextMoe::Llama4FusedTextMoe(Library& library, const ModelShape& config, DType dtype, const MoeWeights& weights,
                                       int device, const FusedBlockOptions& options)
    : FusedMoeBlock(library, (require_llama4(config), config), dtype, device, options) {
  use_weights(weights);
}

Llama4FusedTextMoe Llama4FusedTextMoe::from_hf(Library& library, const std::filesystem::path& checkpoint, int layer, int device,
                                               const FusedBlockOptions& options, std::optional<DType> dtype) {
  const WeightShapes shapes = fused_shapes(checkpoint, dtype);
  Llama4FusedTextMoe block(library, shapes.model, storage_dtype(shapes.type), {}, device, options);
  block.load_weights(checkpoint, layer);
  return block;
}

std::unique_ptr<FusedMoeBlock> load_block(Library& library, const std::filesystem::path& checkpoint, int layer, int device,
                                          const FusedBlockOptions& options, std::optional<DType> dtype) {
  if (checkpoint_shapes(checkpoint, std::nullopt).model.router == RouterKind::sigmoid) {
    return std::make_unique<Llama4FusedTextMoe>(Llama4FusedTextMoe::from_hf(library, checkpoint, layer, device, options, dtype));
  }
  return std::make_unique<Qwen3MoeFusedGroupedGemmBlock>(
      Qwen3MoeFusedGroupedGemmBlock::from_hf(library, checkpoint, layer, device, options, dtype));
}

}  // namespace moe_tune
