// The C API of the fused MoE blocks over the C++ one.
#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "generator/support/checked.hpp"
#include "moe_tune/moe_block.hpp"
#include "moe_tune/moe_tune.h"
#include "runtime/ops/c_api_config.hpp"
#include "runtime/ops/c_api_tensor.hpp"

struct moe_tune_block {
  std::unique_ptr<moe_tune::FusedMoeBlock> block;
};

namespace {

using namespace moe_tune;

// What callers compiled against the first version with these structs say.
constexpr std::size_t first_options_size = 88;
constexpr std::size_t first_block_args_size = 64;
constexpr std::size_t first_forward_args_size = 80;
constexpr std::size_t first_backward_args_size = 112;
static_assert(offsetof(moe_tune_block_options, float32_dW) == first_options_size &&
              sizeof(moe_tune_block_args) == first_block_args_size &&
              offsetof(moe_tune_block_forward_args, saved) == first_forward_args_size &&
              sizeof(moe_tune_block_backward_args) == first_backward_args_size);

/// What a switch says; nothing where it is left at its default.
std::optional<bool> switched(const char* name, int value) {
  switch (value) {
    case MOE_TUNE_DEFAULT:
      return std::nullopt;
    case MOE_TUNE_ON:
      return true;
    case MOE_TUNE_OFF:
      return false;
    default:
      throw UsageError(fmt::format("options->{} = {} is no moe_tune_switch", name, value));
  }
}

std::optional<KernelConfig> config(const char* name, const moe_tune_config_forward* given) {
  if (given == nullptr) return std::nullopt;
  return kernel_config(name, *given);
}

FusedBlockOptions convert(const moe_tune_block_options* given) {
  FusedBlockOptions options;
  if (given == nullptr) return options;
  if (given->struct_size < first_options_size) {
    throw UsageError(
        fmt::format("options->struct_size is {}, less than {}: "
                    "set it to sizeof(moe_tune_block_options)",
                    given->struct_size, first_options_size));
  }
  const auto o = widened(*given);
  options.permute_x = switched("permute_x", o.permute_x);
  options.permute_y = switched("permute_y", o.permute_y).value_or(options.permute_y);
  options.autotune = switched("autotune", o.autotune).value_or(options.autotune);
  options.kernel_config_fwd = {config("config_fwd_gate_up", o.config_fwd_gate_up), config("config_fwd_down", o.config_fwd_down)};
  options.kernel_config_bwd_dX = {config("config_bwd_dX_gate_up", o.config_bwd_dX_gate_up),
                                  config("config_bwd_dX_down", o.config_bwd_dX_down)};
  options.kernel_config_bwd_dW = {config("config_bwd_dW_gate_up", o.config_bwd_dW_gate_up),
                                  config("config_bwd_dW_down", o.config_bwd_dW_down)};
  options.dW_only = o.dW_only != 0;
  options.dX_only = o.dX_only != 0;
  options.overlap_router_shared = o.overlap_router_shared != 0;
  options.float32_dW = o.float32_dW != 0;
  options.shared_expert = o.no_shared_expert == 0;
  options.experts = {o.first_expert, o.expert_count};
  return options;
}

/// A contiguous tensor of the block's dtype and device, in which `like` is the
/// tensor that says both.
Tensor block_tensor(const char* name, const DLTensor* tensor, std::initializer_list<std::int64_t> shape, DType dtype,
                    int device) {
  const Tensor result(name, tensor, static_cast<int>(shape.size()));
  if (result.storage_type() != dtype) throw UsageError(fmt::format("{} is not of the block's dtype, {}", name, to_string(dtype)));
  result.require_shape(shape);
  result.require_device(device);
  result.require_contiguous();
  return result;
}

std::unique_ptr<FusedMoeBlock> create(const moe_tune_block_args* given) {
  const auto a = checked_args(given, first_block_args_size, "moe_tune_block_args");
  if (a.model != MOE_TUNE_QWEN3 && a.model != MOE_TUNE_LLAMA4)
    throw UsageError(fmt::format("model = {} is no moe_tune_model", a.model));
  FusedBlockOptions options = convert(a.options);
  const Tensor gate("gate", a.gate, 2);
  const DType dtype = gate.storage_type();
  const int device = gate.device();
  const Tensor down("down_proj", a.down_proj, 3);
  ModelShape model;
  model.name = "of the caller";
  model.E = narrow<int>(gate.size(0), "E");
  model.H = narrow<int>(gate.size(1), "H");
  model.I = narrow<int>(down.size(2), "I");
  model.top_k = a.top_k;
  model.router = a.model == MOE_TUNE_LLAMA4 ? RouterKind::sigmoid
                 : a.norm_topk_prob != 0    ? RouterKind::softmax_norm_topk
                                            : RouterKind::softmax;
  const std::int64_t local = down.size(0);
  if (options.experts.count != 0 && options.experts.count != local)
    throw UsageError(fmt::format("options->expert_count = {}, but down_proj holds {} experts", options.experts.count, local));
  options.experts.count = narrow<int>(local, "L");
  MoeWeights weights;
  const auto weight = [&](const char* name, const DLTensor* tensor, std::initializer_list<std::int64_t> shape) {
    return block_tensor(name, tensor, shape, dtype, device).data();
  };
  weights.gate = weight("gate", a.gate, {model.E, model.H});
  weights.gate_up_proj = weight("gate_up_proj", a.gate_up_proj, {local, std::int64_t{2} * model.I, model.H});
  weights.down_proj = weight("down_proj", a.down_proj, {local, model.H, model.I});
  if (a.model == MOE_TUNE_QWEN3)
    return std::make_unique<Qwen3MoeFusedGroupedGemmBlock>(Library::instance(), model, dtype, weights, device, options);
  if (options.shared_expert) {
    const Tensor shared("shared_down_proj", a.shared_down_proj, 2);
    model.shared_expert_I = narrow<int>(shared.size(1), "S");
    weights.shared_gate_up_proj =
        weight("shared_gate_up_proj", a.shared_gate_up_proj, {std::int64_t{2} * model.shared_expert_I, model.H});
    weights.shared_down_proj = weight("shared_down_proj", a.shared_down_proj, {model.H, model.shared_expert_I});
  }
  return std::make_unique<Llama4FusedTextMoe>(Library::instance(), model, dtype, weights, device, options);
}

/// The observer that a C function is.
class StepCallback : public MoeStepObserver {
 public:
  StepCallback(void (*function)(const char*, void*), void* user) : function_(function), user_(user) {}
  // The names are literals, so they end with a zero.
  void on_step(std::string_view step) override { function_(step.data(), user_); }

 private:
  void (*function_)(const char*, void*);
  void* user_;
};

FusedMoeBlock& checked_block(moe_tune_block* block) {
  if (block == nullptr) throw UsageError("block is NULL");
  return *block->block;
}

/// A piece of device memory that may be NULL.
void place_memory(const char* name, const DLTensor* given, const FusedMoeBlock& block, void*& address, std::size_t& bytes) {
  if (given == nullptr) return;
  const Tensor memory(name, given, 1);
  memory.require_device(block.device());
  address = memory.data();
  bytes = memory.bytes();
}

MoeForwardArgs convert(const FusedMoeBlock& block, const moe_tune_block_forward_args& a) {
  const ModelShape& model = block.config();
  const Tensor hidden("hidden_states", a.hidden_states, 2);
  MoeForwardArgs args;
  args.tokens = hidden.size(0);
  args.inject_selection = a.inject_selection != 0;
  const auto of_dtype = [&](const char* name, const DLTensor* tensor, std::int64_t columns) {
    return block_tensor(name, tensor, {args.tokens, columns}, block.dtype(), block.device()).data();
  };
  const auto int32 = [&](const char* name, const DLTensor* tensor, std::initializer_list<std::int64_t> shape) {
    const Tensor result(name, tensor, static_cast<int>(shape.size()));
    if (!result.is(kDLInt, 32)) throw UsageError(fmt::format("{} is not int32", name));
    result.require_shape(shape);
    result.require_device(block.device());
    result.require_contiguous();
    return result.data();
  };
  args.hidden_states = of_dtype("hidden_states", a.hidden_states, model.H);
  args.out = of_dtype("out", a.out, model.H);
  if (a.router_logits != nullptr) args.router_logits = of_dtype("router_logits", a.router_logits, model.E);
  if (a.topk_weights != nullptr) args.topk_weights = of_dtype("topk_weights", a.topk_weights, model.top_k);
  if (a.selected_experts != nullptr)
    args.selected_experts = int32("selected_experts", a.selected_experts, {args.tokens, model.top_k});
  if (a.token_count != nullptr) args.token_count = int32("token_count", a.token_count, {1});
  place_memory("saved", a.saved, block, args.saved, args.saved_bytes);
  place_memory("workspace", a.workspace, block, args.workspace, args.workspace_bytes);
  return args;
}

MoeBackwardArgs convert(const FusedMoeBlock& block, const moe_tune_block_backward_args& a) {
  const ModelShape& model = block.config();
  const Tensor hidden("hidden_states", a.hidden_states, 2);
  MoeBackwardArgs args;
  args.tokens = hidden.size(0);
  args.accumulate = a.accumulate != 0;
  const auto by_token = [&](const char* name, const DLTensor* tensor, std::int64_t columns) {
    return block_tensor(name, tensor, {args.tokens, columns}, block.dtype(), block.device()).data();
  };
  args.hidden_states = by_token("hidden_states", a.hidden_states, model.H);
  args.d_out = by_token("d_out", a.d_out, model.H);
  if (a.d_router_logits != nullptr) args.d_router_logits = by_token("d_router_logits", a.d_router_logits, model.E);
  if (a.d_hidden_states != nullptr) args.d_hidden_states = by_token("d_hidden_states", a.d_hidden_states, model.H);
  const auto weight = [&](const char* name, const DLTensor* tensor, std::initializer_list<std::int64_t> shape) -> void* {
    if (tensor == nullptr) return nullptr;
    const Tensor gradient(name, tensor, static_cast<int>(shape.size()));
    const bool right = block.float32_dW() ? gradient.is(kDLFloat, 32) : gradient.storage_type() == block.dtype();
    if (!right) {
      throw UsageError(fmt::format("{} is not {}, which the block's gradients of weights are", name,
                                   block.float32_dW() ? "float32" : to_string(block.dtype())));
    }
    gradient.require_shape(shape);
    gradient.require_device(block.device());
    gradient.require_contiguous();
    return gradient.data();
  };
  const std::int64_t L = block.experts().count;
  const std::int64_t S = model.shared_expert_I;
  args.weights.gate = weight("d_gate", a.d_gate, {model.E, model.H});
  args.weights.gate_up_proj = weight("d_gate_up_proj", a.d_gate_up_proj, {L, std::int64_t{2} * model.I, model.H});
  args.weights.down_proj = weight("d_down_proj", a.d_down_proj, {L, model.H, model.I});
  args.weights.shared_gate_up_proj = weight("d_shared_gate_up_proj", a.d_shared_gate_up_proj, {2 * S, model.H});
  args.weights.shared_down_proj = weight("d_shared_down_proj", a.d_shared_down_proj, {model.H, S});
  place_memory("saved", a.saved, block, args.saved, args.saved_bytes);
  place_memory("workspace", a.workspace, block, args.workspace, args.workspace_bytes);
  return args;
}

std::span<const std::int64_t> token_counts(const std::int64_t* tokens, std::size_t count) {
  if (tokens == nullptr && count > 0) throw UsageError("tokens is NULL");
  return {tokens, count};
}

/// Stores a number of bytes where the caller wants it.
template <class Bytes>
int query(std::size_t* target, const Bytes& bytes) {
  return guarded([&] {
    if (target == nullptr) throw UsageError("bytes is NULL");
    *target = bytes();
  });
}

/// Stores a new block where the caller wants it.
template <class Make>
int made(moe_tune_block** block, const Make& make) {
  return guarded([&] {
    if (block == nullptr) throw UsageError("block is NULL");
    *block = nullptr;
    *block = new moe_tune_block{make()};
  });
}

}  // namespace

int moe_tune_block_create(const moe_tune_block_args* args, moe_tune_block** block) {
  return made(block, [&] { return create(args); });
}

int moe_tune_block_from_hf(const char* checkpoint, int32_t layer, int32_t device, const moe_tune_block_options* options,
                           moe_tune_block** block) {
  return made(block, [&] {
    if (checkpoint == nullptr) throw UsageError("checkpoint is NULL");
    return load_block(Library::instance(), checkpoint, layer, device, convert(options));
  });
}

int moe_tune_block_destroy(moe_tune_block* block) {
  return guarded([&] { delete block; });
}

int moe_tune_block_forward(moe_tune_block* block, const moe_tune_block_forward_args* args, void* stream) {
  return guarded([&] {
    FusedMoeBlock& fused = checked_block(block);
    const auto a = checked_args(args, first_forward_args_size, "moe_tune_block_forward_args");
    StepCallback observer(a.on_step, a.user);
    fused.forward(convert(fused, a), static_cast<CUstream_st*>(stream), a.on_step == nullptr ? nullptr : &observer);
  });
}

int moe_tune_block_backward(moe_tune_block* block, const moe_tune_block_backward_args* args, void* stream) {
  return guarded([&] {
    FusedMoeBlock& fused = checked_block(block);
    const auto a = checked_args(args, first_backward_args_size, "moe_tune_block_backward_args");
    StepCallback observer(a.on_step, a.user);
    fused.backward(convert(fused, a), static_cast<CUstream_st*>(stream), a.on_step == nullptr ? nullptr : &observer);
  });
}

int moe_tune_block_workspace_bytes(moe_tune_block* block, int64_t tokens, size_t* bytes) {
  return query(bytes, [&] { return checked_block(block).workspace_bytes(tokens); });
}

int moe_tune_block_saved_bytes(moe_tune_block* block, int64_t tokens, size_t* bytes) {
  return query(bytes, [&] { return checked_block(block).saved_bytes(tokens); });
}

int moe_tune_block_training_workspace_bytes(moe_tune_block* block, int64_t tokens, size_t* bytes) {
  return query(bytes, [&] { return checked_block(block).training_workspace_bytes(tokens); });
}

int moe_tune_block_prepare(moe_tune_block* block, const int64_t* tokens, size_t count) {
  return guarded([&] { checked_block(block).prepare(token_counts(tokens, count)); });
}

int moe_tune_block_prepare_training(moe_tune_block* block, const int64_t* tokens, size_t count, int32_t accumulate) {
  return guarded([&] { checked_block(block).prepare_training(token_counts(tokens, count), accumulate != 0); });
}

int moe_tune_block_explain(moe_tune_block* block, int32_t gemm, int64_t tokens, char* text, size_t size) {
  return guarded([&] {
    if (gemm != MOE_TUNE_GATE_UP && gemm != MOE_TUNE_DOWN) throw UsageError(fmt::format("gemm = {} is no moe_tune_gemm", gemm));
    const TextTarget target(text, size);
    target.write(checked_block(block).selection(gemm == MOE_TUNE_GATE_UP ? Gemm::gate_up : Gemm::down, tokens));
  });
}
