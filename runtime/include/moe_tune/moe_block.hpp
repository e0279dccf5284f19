// The MoE blocks of Qwen3 and Llama4, fused: router, grouped GEMMs and combine with tuned kernels. The C++ API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "moe_tune/config.hpp"
#include "moe_tune/export.hpp"
#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/model_shape.hpp"
#include "moe_tune/moe_weights.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// One config for both GEMMs of a block, or one for each.
struct PerGemm {
  std::optional<KernelConfig> gate_up;
  std::optional<KernelConfig> down;

  PerGemm() = default;
  PerGemm(const KernelConfig& both) : gate_up(both), down(both) {}
  PerGemm(std::optional<KernelConfig> of_gate_up, std::optional<KernelConfig> of_down) : gate_up(of_gate_up), down(of_down) {}
};

/// How a block works. What it computes is the same for all of them, but for rounding.
struct FusedBlockOptions {
  /// The first GEMM gathers its rows itself; otherwise they are copied to expert order before it. When it says nothing: true for
  /// Qwen3, false for Llama4. Llama4 scales the rows that go into its experts: copied they are rounded once more, as in
  /// transformers; gathered the products are scaled in float32, at least as exact; 1 to 4% slower at 8192 tokens of
  /// llama4-scout.
  std::optional<bool> permute_x;
  /// The second GEMM stores its rows in slot order; otherwise the combine reads them where they are.
  bool permute_y = true;
  /// The library chooses kernels: override file > measured > predicted > heuristic, and with MOE_TUNE_MODE=tune it measures what
  /// is missing. Otherwise a config has to be given for each GEMM that runs.
  bool autotune = true;
  PerGemm kernel_config_fwd;     ///< goes before what the library would choose
  PerGemm kernel_config_bwd_dX;  ///< the same of the gradients, whose rows are in expert order
  PerGemm kernel_config_bwd_dW;
  bool dW_only = false;  ///< only gradients of weights are made: of dX only what their chain needs
  bool dX_only = false;  ///< weights are frozen, the router's and the shared expert's too: only the gradient of the hidden states
  bool float32_dW = false;             ///< gradients of weights are float32, whatever the block's dtype
  bool overlap_router_shared = false;  ///< Llama4: the shared expert runs on a stream of its own beside router and experts
  /// The experts that this process has, of gate_up_proj and down_proj: the block computes their share of the sum.
  ExpertRange experts;
  bool shared_expert = true;  ///< Llama4: whether the shared expert is part of this process's share
};

/// Device memory of one forward; nothing is owned or kept. Tensors are contiguous, of the block's dtype and 16-byte aligned.
struct MoeForwardArgs {
  const void* hidden_states = nullptr;  ///< (tokens, H)
  void* out = nullptr;                  ///< (tokens, H); written; overlaps nothing else
  void* router_logits = nullptr;        ///< (tokens, E); written; null: not wanted
  void* selected_experts = nullptr;     ///< (tokens, top_k) int32; written, or with inject_selection read; null: not wanted
  void* topk_weights = nullptr;         ///< (tokens, top_k); written: the routing weights (Llama4: scores); null: not wanted
  bool inject_selection = false;        ///< take selected_experts as they are: distinct within a token, in [0, E)
  /// One int32 on the device, in [0, tokens]: how many of the tokens are there, so that a captured graph serves any number up to
  /// `tokens`. Results of others are not touched. null: all are.
  const void* token_count = nullptr;
  std::int64_t tokens = 0;
  /// saved_bytes(tokens) bytes, 16-byte aligned; written: what the backward of this call reads. null: nothing is kept.
  void* saved = nullptr;
  std::size_t saved_bytes = 0;
  /// workspace_bytes(tokens) bytes, with `saved` training_workspace_bytes(tokens), 16-byte aligned, that no other call uses at
  /// the same time; null: from a pool of the library.
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
};

/// Where gradients of the weights go: in their layouts (MoeWeights), 16-byte aligned, of the block's dtype or float32. null: not
/// wanted, and not made.
struct MoeWeightGradients {
  void* gate = nullptr;
  void* gate_up_proj = nullptr;
  void* down_proj = nullptr;
  void* shared_gate_up_proj = nullptr;
  void* shared_down_proj = nullptr;
};

/// Device memory of one backward; nothing is owned or kept. Tensors are contiguous, of the block's dtype and 16-byte aligned.
struct MoeBackwardArgs {
  const void* hidden_states = nullptr;    ///< (tokens, H): those of the forward
  const void* d_out = nullptr;            ///< (tokens, H): the gradient of `out`
  const void* d_router_logits = nullptr;  ///< (tokens, E): what else the logits are used for, an auxiliary loss; null: nothing
  void* d_hidden_states = nullptr;        ///< (tokens, H); written; overlaps nothing else; null: not wanted
  MoeWeightGradients weights;             ///< written; zeros for an expert without rows
  bool accumulate = false;                ///< gradients of weights are added to what stands there, in float32, rounded once
  std::int64_t tokens = 0;                ///< as of the forward, whose token_count holds here too
  /// What the forward wrote. It is used up: the backward works in it, so each forward has one backward.
  void* saved = nullptr;
  std::size_t saved_bytes = 0;
  /// training_workspace_bytes(tokens) bytes, 16-byte aligned, that no other call uses at the same time; null: from a pool of the
  /// library.
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
};

/// Told on the host before each step of a forward is enqueued, so that it can record events: "router", "permute", "gate_up",
/// "down", "shared_expert", "combine", and "end" after the last. Of a backward: "permute_d_out", "dX_down", "swiglu", "dW_down",
/// "permute_x", "dW_gate_up", "dX_gate_up", "router", "combine", "shared_expert", "end".
class MoeStepObserver {
 public:
  virtual ~MoeStepObserver() = default;
  virtual void on_step(std::string_view step) = 0;
};

/// A fused block on one device:
///   Qwen3   out[t] = sum over c of w[t, c] * expert(x[t])                          w = top_k of softmax(x . gate^T), as
///   RouterKind says Llama4  out[t] = shared_expert(x[t]) + sum over c of expert(w[t, c] * x[t])    w = sigmoid of the top_k
///   logits expert(x) = (silu(gate) * up) . down_proj[e]^T,  gate, up = the halves of x . gate_up_proj[e]^T
/// GEMMs accumulate in float32; the activation, the rows of the second GEMM and the output are rounded to dtype, once each; the
/// sum over a token's experts is in float32, in the order of its choices. Reruns give the same bits.
///
/// Needs a GPU of compute capability 9.0: SwiGLU is part of the first GEMM. Thread-safe: any threads may run it, on any streams
/// of the device.
class MOE_TUNE_API FusedMoeBlock {
 public:
  virtual ~FusedMoeBlock();
  FusedMoeBlock(FusedMoeBlock&&) noexcept;
  FusedMoeBlock& operator=(FusedMoeBlock&&) noexcept;

  /// Enqueues the block's forward on `stream` and returns, without synchronising with the device. In steady state nothing is
  /// allocated. Can be captured into a CUDA graph, once prepare() was called for as many tokens, and replayed with other data,
  /// selections and token_count, beside anything but itself. Throws UsageError for bad arguments.
  void forward(const MoeForwardArgs& args, CUstream_st* stream, MoeStepObserver* observer = nullptr);

  /// Enqueues the backward of a forward that wrote `saved`: gradients of everything that `args` has a place for, with the
  /// selection and the routing weights of that forward, through which gradients pass as in transformers. As forward() otherwise:
  /// it can be captured (with the forward or without it), in steady state allocates nothing, and reruns give the same bits.
  /// Gradients of activations, pre-activations, logits and routed rows are rounded to dtype once each, and so is d_hidden_states
  /// after each of its parts: router, routed experts, shared expert. With a range of experts or without the shared expert it
  /// computes this process's share of d_hidden_states and d_gate; d_router_logits belongs to one of the shares. Throws UsageError
  /// for bad arguments, for gradients that dW_only or dX_only excludes, when no gradient is asked for, and where autotune is off
  /// and a config of a gradient is missing.
  void backward(const MoeBackwardArgs& args, CUstream_st* stream, MoeStepObserver* observer = nullptr);

  std::size_t workspace_bytes(std::int64_t tokens) const;
  /// Bytes that a forward keeps for its backward: logits, selection, weights and order of the rows, and the pre-activations,
  /// M x 2 I elements and with a shared expert tokens x 2 S, of which the activations are computed again. Options do not matter.
  std::size_t saved_bytes(std::int64_t tokens) const;
  /// Of a forward that keeps what the backward reads, and of the backward.
  std::size_t training_workspace_bytes(std::int64_t tokens);
  /// Compiles and loads what these token counts need, and lets the library's pool have the workspace of one such call.
  void prepare(std::span<const std::int64_t> tokens);
  /// The same for a forward with `saved` and the backward, all gradients that dW_only and dX_only leave; `accumulate` as in its
  /// arguments. A capture of either needs it.
  void prepare_training(std::span<const std::int64_t> tokens, bool accumulate = false);
  /// The config that serves a GEMM of the forward at so many tokens, and why.
  Selection selection(Gemm gemm, std::int64_t tokens) const;
  /// That of a gradient, Op::dX or Op::dW, or of the forward of a training.
  Selection training_selection(Op op, Gemm gemm, std::int64_t tokens);

  const ModelShape& config() const;
  DType dtype() const;
  int device() const;
  /// Those of this process; the count is that of its matrices.
  const ExpertRange& experts() const;
  bool float32_dW() const;
  const MoeWeights& weights() const;

  /// Copies weights (of the host, or of this device) into memory that the block owns, and uses them from then on. Waits for the
  /// copies; no forward may run meanwhile.
  void copy_weights(const MoeWeights& weights);
  /// Compares with a layer of a checkpoint bit by bit; throws UsageError naming tensor and index of the first difference.
  void check_weights(const std::filesystem::path& checkpoint, int layer) const;

 protected:
  FusedMoeBlock(Library& library, const ModelShape& config, DType dtype, int device, const FusedBlockOptions& options);
  void use_weights(const MoeWeights& weights);
  void load_weights(const std::filesystem::path& checkpoint, int layer);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Qwen3MoeSparseMoeBlock of transformers.
class MOE_TUNE_API Qwen3MoeFusedGroupedGemmBlock : public FusedMoeBlock {
 public:
  /// `weights` lie on the device and outlive the block, or are null and come by copy_weights(). Throws UsageError for a config
  /// that is no Qwen3 layer, options that contradict each other, or a kernel config that cannot serve; EnvironmentError without a
  /// GPU.
  Qwen3MoeFusedGroupedGemmBlock(Library& library, const ModelShape& config, DType dtype, const MoeWeights& weights, int device,
                                const FusedBlockOptions& options = {});
  /// A layer of a checkpoint folder (config.json, safetensors), in `dtype`; null: that of the config. The block owns the weights.
  static Qwen3MoeFusedGroupedGemmBlock from_hf(Library& library, const std::filesystem::path& checkpoint, int layer, int device,
                                               const FusedBlockOptions& options = {}, std::optional<DType> dtype = std::nullopt);
};

/// Llama4TextMoe of transformers.
class MOE_TUNE_API Llama4FusedTextMoe : public FusedMoeBlock {
 public:
  /// As of Qwen3.
  Llama4FusedTextMoe(Library& library, const ModelShape& config, DType dtype, const MoeWeights& weights, int device,
                     const FusedBlockOptions& options = {});
  static Llama4FusedTextMoe from_hf(Library& library, const std::filesystem::path& checkpoint, int layer, int device,
                                    const FusedBlockOptions& options = {}, std::optional<DType> dtype = std::nullopt);
};

/// from_hf() of the class that the checkpoint's config.json asks for.
MOE_TUNE_API std::unique_ptr<FusedMoeBlock> load_block(Library& library, const std::filesystem::path& checkpoint, int layer,
                                                       int device, const FusedBlockOptions& options = {},
                                                       std::optional<DType> dtype = std::nullopt);

}  // namespace moe_tune
