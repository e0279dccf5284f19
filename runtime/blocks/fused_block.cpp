#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "generator/constraints.hpp"
#include "moe_tune/moe_block.hpp"
#include "runtime/blocks/block_backward.hpp"
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
        device(capable(state.device(number))),
        ordinal(number),
        config(model),
        shape(make_shape(model, dtype, given)),
        options(consistent(given)),
        operations(shared, shape, options, number) {}

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

  std::int64_t checked(std::int64_t tokens) const {
    if (tokens < 0) throw UsageError(fmt::format("MoE block: tokens = {}", tokens));
    return tokens;
  }

  std::size_t forward_bytes(std::int64_t tokens, BlockPass pass) const {
    return ForwardWorkspace(shape, checked(tokens), operations.needs(tokens, pass), nullptr).bytes;
  }

  std::size_t saved_bytes(std::int64_t tokens) const { return SavedForward(shape, checked(tokens), nullptr).bytes; }

  std::size_t training_bytes(std::int64_t tokens) {
    operations.require_training();
    const std::size_t router = operations.router_gradient().workspace_bytes(checked(tokens));
    return std::max(forward_bytes(tokens, BlockPass::training), BackwardWorkspace(shape, tokens, router, nullptr).bytes);
  }

  void check(const MoeForwardArgs& a) const {
    const bool any = checked(a.tokens) > 0;
    checks.pointer("hidden_states", a.hidden_states, tensor_alignment, any);
    checks.pointer("out", a.out, tensor_alignment, any);
    checks.pointer("router_logits", a.router_logits, element_bytes(shape.dtype), false);
    checks.pointer("selected_experts", a.selected_experts, 4, any && a.inject_selection, ", and inject_selection is set");
    checks.pointer("topk_weights", a.topk_weights, element_bytes(shape.dtype), false);
    checks.pointer("token_count", a.token_count, 4, false);
    checks.pointer("saved", a.saved, tensor_alignment, false);
    checks.pointer("workspace", a.workspace, tensor_alignment, false);
    check_weights(any);
  }

  void check_weights(bool any) const {
    constexpr const char* missing = ": give the block weights, or call copy_weights() first";
    checks.pointer("the weight gate", weights.gate, tensor_alignment, any, missing);
    checks.pointer("the weight gate_up_proj", weights.gate_up_proj, tensor_alignment, any, missing);
    checks.pointer("the weight down_proj", weights.down_proj, tensor_alignment, any, missing);
    checks.pointer("the weight shared_gate_up_proj", weights.shared_gate_up_proj, tensor_alignment,
                   any && shape.has_shared_expert(), missing);
    checks.pointer("the weight shared_down_proj", weights.shared_down_proj, tensor_alignment, any && shape.has_shared_expert(),
                   missing);
  }

  /// Memory that a caller gave, null for none, is large enough.
  template <class Args>
  static void require_bytes(const char* name, const void* given, std::size_t bytes, std::size_t needed, const Args& args,
                            const char* query) {
    if (given == nullptr || bytes >= needed) return;
    throw UsageError(fmt::format("MoE block: {} has {} bytes; {} tokens need {}: give as many as {}() says", name, bytes,
                                 args.tokens, needed, query));
  }

  void forward(const MoeForwardArgs& args, CUstream stream, MoeStepObserver* observer) {
    check(args);
    if (args.tokens == 0) return;
    const CurrentContext current(device.context());
    const bool training = args.saved != nullptr;
    if (training) operations.require_training();
    const OperationNeeds needs = operations.needs(args.tokens, training ? BlockPass::training : BlockPass::inference);
    const std::size_t bytes = ForwardWorkspace(shape, args.tokens, needs, nullptr).bytes;
    require_bytes("the workspace", args.workspace, args.workspace_bytes, bytes, args,
                  training ? "training_workspace_bytes" : "workspace_bytes");
    const PooledWorkspace pooled(device.workspaces(), args.workspace == nullptr ? bytes : 0, stream);
    const ForwardWorkspace workspace(shape, args.tokens, needs, args.workspace == nullptr ? pooled.get() : args.workspace);
    GpuExecutor executor(operations, side_streams, stream);
    const SavedForward saved(shape, args.tokens, args.saved);
    if (training) require_bytes("saved", args.saved, args.saved_bytes, saved.bytes, args, "saved_bytes");
    enqueue_forward(shape, weights, args, workspace, training ? &saved : nullptr, executor, observer);
  }

  void check(const MoeBackwardArgs& a) const {
    const bool any = checked(a.tokens) > 0;
    checks.pointer("hidden_states", a.hidden_states, tensor_alignment, any);
    checks.pointer("d_out", a.d_out, tensor_alignment, any);
    checks.pointer("d_router_logits", a.d_router_logits, element_bytes(shape.dtype), false);
    checks.pointer("d_hidden_states", a.d_hidden_states, tensor_alignment, false);
    checks.pointer("saved", a.saved, tensor_alignment, any, ": it is what the forward wrote");
    checks.pointer("workspace", a.workspace, tensor_alignment, false);
    bool any_weight = false;
    const auto weight = [&](const char* name, const void* gradient) {
      checks.pointer(name, gradient, tensor_alignment, false);
      any_weight = any_weight || gradient != nullptr;
      if (gradient != nullptr && options.dX_only)
        throw UsageError(fmt::format("MoE block: {} is given, but the block is dX_only: its weights are frozen", name));
    };
    weight("d_gate", a.weights.gate);
    weight("d_gate_up_proj", a.weights.gate_up_proj);
    weight("d_down_proj", a.weights.down_proj);
    weight("d_shared_gate_up_proj", a.weights.shared_gate_up_proj);
    weight("d_shared_down_proj", a.weights.shared_down_proj);
    if (!shape.has_shared_expert() && (a.weights.shared_gate_up_proj != nullptr || a.weights.shared_down_proj != nullptr))
      throw UsageError("MoE block: a gradient of the shared expert is asked for, which this block has not");
    if (a.d_hidden_states != nullptr && options.dW_only)
      throw UsageError("MoE block: d_hidden_states is given, but the block is dW_only");
    if (a.d_hidden_states == nullptr && !any_weight)
      throw UsageError("MoE block: no gradient is asked for: give d_hidden_states or a gradient of a weight");
    check_weights(any);
  }

  void backward(const MoeBackwardArgs& args, CUstream stream, MoeStepObserver* observer) {
    check(args);
    const CurrentContext current(device.context());
    operations.require_training();
    const SavedForward saved(shape, args.tokens, args.saved);
    require_bytes("saved", args.saved, args.saved_bytes, saved.bytes, args, "saved_bytes");
    const std::size_t router = operations.router_gradient().workspace_bytes(args.tokens);
    const std::size_t bytes = BackwardWorkspace(shape, args.tokens, router, nullptr).bytes;
    require_bytes("the workspace", args.workspace, args.workspace_bytes, bytes, args, "training_workspace_bytes");
    const PooledWorkspace pooled(device.workspaces(), args.workspace == nullptr ? bytes : 0, stream);
    const BackwardWorkspace workspace(shape, args.tokens, router, args.workspace == nullptr ? pooled.get() : args.workspace);
    GpuExecutor executor(operations, side_streams, stream);
    enqueue_backward(shape, weights, args, saved, workspace, executor, observer);
  }

  /// Lets the pool have the most that `bytes` says for one of the token counts.
  template <class Bytes>
  void reserve(std::span<const std::int64_t> tokens, const Bytes& bytes) {
    std::size_t most = 0;
    for (const std::int64_t count : tokens) most = std::max(most, bytes(count));
    device.workspaces().reserve(most);
  }

  void prepare(std::span<const std::int64_t> tokens) {
    const CurrentContext current(device.context());
    operations.prepare(tokens);
    reserve(tokens, [this](std::int64_t count) { return forward_bytes(count, BlockPass::inference); });
  }

  void prepare_training(std::span<const std::int64_t> tokens, bool accumulate) {
    const CurrentContext current(device.context());
    operations.prepare_training(tokens, accumulate);
    reserve(tokens, [this](std::int64_t count) { return training_bytes(count); });
  }

  Selection training_selection(Op op, Gemm gemm, std::int64_t tokens) {
    operations.require_training();
    const BlockPass pass = op == Op::forward ? BlockPass::training : op == Op::dX ? BlockPass::dX : BlockPass::dW;
    if (!operations.trains(block_gemm(gemm), pass))
      throw UsageError(fmt::format("MoE block: {} of {} is not made by this block", to_string(op), to_string(gemm)));
    return operations.gemm(block_gemm(gemm), pass).selection(checked(tokens));
  }

  static BlockGemm block_gemm(Gemm gemm) { return gemm == Gemm::gate_up ? BlockGemm::gate_up : BlockGemm::down; }

 private:
  static DeviceState& capable(DeviceState& device) {
    if (runs_on(Family::sm90, device.description())) return device;
    const DeviceInfo& info = device.info();
    throw UsageError(
        fmt::format("MoE block: fused blocks need a GPU of compute capability 9.0, for SwiGLU in the first GEMM; device {} is {} "
                    "({}.{}): run the reference block there, whose steps are kernels of their own",
                    info.ordinal, info.name, info.cc_major, info.cc_minor));
  }

  static const FusedBlockOptions& consistent(const FusedBlockOptions& options) {
    require_consistent(options);
    return options;
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

void FusedMoeBlock::backward(const MoeBackwardArgs& args, CUstream stream, MoeStepObserver* observer) {
  state_->backward(args, stream, observer);
}

std::size_t FusedMoeBlock::workspace_bytes(std::int64_t tokens) const {
  return state_->forward_bytes(tokens, BlockPass::inference);
}

std::size_t FusedMoeBlock::saved_bytes(std::int64_t tokens) const { return state_->saved_bytes(tokens); }

std::size_t FusedMoeBlock::training_workspace_bytes(std::int64_t tokens) { return state_->training_bytes(tokens); }

void FusedMoeBlock::prepare(std::span<const std::int64_t> tokens) { state_->prepare(tokens); }

void FusedMoeBlock::prepare_training(std::span<const std::int64_t> tokens, bool accumulate) {
  state_->prepare_training(tokens, accumulate);
}

Selection FusedMoeBlock::selection(Gemm gemm, std::int64_t tokens) const {
  return state_->operations.gemm(State::block_gemm(gemm), BlockPass::inference).selection(tokens);
}

Selection FusedMoeBlock::training_selection(Op op, Gemm gemm, std::int64_t tokens) {
  return state_->training_selection(op, gemm, tokens);
}

const ModelShape& FusedMoeBlock::config() const { return state_->config; }
DType FusedMoeBlock::dtype() const { return state_->shape.dtype; }
int FusedMoeBlock::device() const { return state_->ordinal; }
const ExpertRange& FusedMoeBlock::experts() const { return state_->shape.experts; }
bool FusedMoeBlock::float32_dW() const { return state_->shape.float32_dw; }
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
