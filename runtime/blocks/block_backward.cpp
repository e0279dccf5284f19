#include "runtime/blocks/block_backward.hpp"

#include <utility>

#include "generator/support/checked.hpp"

namespace moe_tune {

namespace {

class Backward {
 public:
  Backward(const BlockShape& shape, const MoeWeights& weights, const MoeBackwardArgs& args, const SavedForward& saved,
           const BackwardWorkspace& workspace, BlockExecutor& executor, MoeStepObserver* observer)
      : shape_(shape),
        weights_(weights),
        args_(args),
        saved_(saved),
        workspace_(workspace),
        executor_(executor),
        observer_(observer) {}

  void run() const {
    if (args_.tokens == 0) return clear_weights();
    if (wants_routed()) routed_experts();
    if (wants_router()) {
      step("router");
      router();
    }
    if (wants_dX()) {
      step("combine");
      combine(shape_.model.top_k, saved_.routing.slot_rows);
    }
    if (shape_.has_shared_expert() && wants_shared()) {
      step("shared_expert");
      shared_expert();
    }
    step("end");
  }

 private:
  std::int64_t M() const { return args_.tokens * shape_.model.top_k; }
  bool wants_dX() const { return args_.d_hidden_states != nullptr; }
  bool wants_router() const { return wants_dX() || args_.weights.gate != nullptr; }
  bool wants_routed() const {
    return wants_router() || args_.weights.gate_up_proj != nullptr || args_.weights.down_proj != nullptr;
  }
  bool wants_shared() const {
    return wants_dX() || args_.weights.shared_gate_up_proj != nullptr || args_.weights.shared_down_proj != nullptr;
  }

  void step(std::string_view name) const {
    if (observer_ != nullptr) observer_->on_step(name);
  }

  void routed_experts() const {
    step("permute_d_out");
    permute(args_.d_out, nullptr);
    step("dX_down");
    multiply_dX(BlockGemm::down, workspace_.rows, weights_.down_proj, workspace_.activation);
    step("swiglu");
    const bool with_activation = args_.weights.down_proj != nullptr;
    swiglu_gradient(with_activation);
    if (with_activation) {
      step("dW_down");
      multiply_dW(BlockGemm::down, workspace_.rows, workspace_.activation, args_.weights.down_proj);
    }
    if (args_.weights.gate_up_proj != nullptr) {
      step("permute_x");
      permute(args_.hidden_states, shape_.scales_input() ? saved_.routing.topk_weights : nullptr);
      step("dW_gate_up");
      multiply_dW(BlockGemm::gate_up, saved_.pre_activation, workspace_.rows, args_.weights.gate_up_proj);
    }
    if (wants_dX()) {
      step("dX_gate_up");
      multiply_dX(BlockGemm::gate_up, saved_.pre_activation, weights_.gate_up_proj, workspace_.rows);
    }
  }

  /// Of rows by token, which are scaled where there are weights.
  void permute(const void* x, const void* topk_weights) const {
    PermuteRowsArgs permute;
    permute.x = x;
    permute.rows = workspace_.rows;
    permute.slot_rows = saved_.routing.slot_rows;
    permute.topk_weights = topk_weights;
    permute.dtype = shape_.dtype;
    permute.M = M();
    permute.slots_per_row = shape_.model.top_k;
    permute.columns = shape_.model.H;
    executor_.permute_rows(permute);
  }

  /// dY are d_out's rows as they are: the weights that Qwen3 scales its experts' results with come in here.
  void swiglu_gradient(bool with_activation) const {
    SwigluGradientArgs swiglu;
    swiglu.d_activation = workspace_.activation;
    swiglu.pre_activation = swiglu.d_pre_activation = saved_.pre_activation;
    swiglu.activation = with_activation ? workspace_.activation : nullptr;
    swiglu.topk_weights = shape_.scales_input() ? nullptr : saved_.routing.topk_weights;
    swiglu.scaled_input = shape_.scales_input();
    swiglu.d_topk_weights = wants_router() ? workspace_.d_topk_weights : nullptr;
    swiglu.d_topk_weights_type = WeightType::float32;
    swiglu.gather_indices = saved_.routing.gather_indices;
    swiglu.m_sizes = saved_.routing.m_sizes;
    swiglu.dtype = shape_.dtype;
    swiglu.M = M();
    swiglu.E = shape_.experts.count;
    swiglu.columns = shape_.model.I;
    executor_.swiglu_gradient(swiglu);
  }

  void router() const {
    RouterGradientArgs router;
    router.hidden_states = args_.hidden_states;
    router.weight = weights_.gate;
    router.router_logits = saved_.routing.router_logits;
    router.selected_experts = saved_.routing.selected_experts;
    router.d_topk_weights = workspace_.d_topk_weights;
    router.d_router_logits = args_.d_router_logits;
    router.d_hidden_states = args_.d_hidden_states;
    router.d_weight = args_.weights.gate;
    router.d_weight_type = shape_.float32_dw ? WeightType::float32 : WeightType::storage;
    router.accumulate = args_.accumulate;
    router.token_count = saved_.routing.token_count;
    router.tokens = args_.tokens;
    router.workspace = workspace_.router;
    router.workspace_bytes = workspace_.router_bytes;
    executor_.route_gradient(router);
  }

  /// Adds the gradients of a token's rows to d_hidden_states. Llama4's are those of scaled rows. The shared expert's rows are the
  /// tokens, without slot_rows.
  void combine(int top_k, const void* slot_rows) const {
    CombineRowsArgs combine;
    combine.rows = workspace_.rows;
    combine.out = args_.d_hidden_states;
    combine.addend = args_.d_hidden_states;
    combine.slot_rows = slot_rows;
    combine.expert_order = slot_rows != nullptr;
    combine.topk_weights = slot_rows != nullptr && shape_.scales_input() ? saved_.routing.topk_weights : nullptr;
    combine.token_count = saved_.routing.token_count;
    combine.dtype = shape_.dtype;
    combine.tokens = args_.tokens;
    combine.top_k = top_k;
    combine.columns = shape_.model.H;
    executor_.combine_rows(combine);
  }

  void shared_expert() const {
    multiply_dX(BlockGemm::shared_down, args_.d_out, weights_.shared_down_proj, workspace_.activation);
    const bool with_activation = args_.weights.shared_down_proj != nullptr;
    SwigluGradientArgs swiglu;
    swiglu.d_activation = workspace_.activation;
    swiglu.pre_activation = swiglu.d_pre_activation = saved_.shared_pre_activation;
    swiglu.activation = with_activation ? workspace_.activation : nullptr;
    swiglu.m_sizes = saved_.routing.token_count;
    swiglu.dtype = shape_.dtype;
    swiglu.M = args_.tokens;
    swiglu.E = 1;
    swiglu.columns = shape_.model.shared_expert_I;
    executor_.swiglu_gradient(swiglu);
    if (with_activation)
      multiply_dW(BlockGemm::shared_down, args_.d_out, workspace_.activation, args_.weights.shared_down_proj);
    if (args_.weights.shared_gate_up_proj != nullptr) {
      multiply_dW(BlockGemm::shared_gate_up, saved_.shared_pre_activation, args_.hidden_states,
                  args_.weights.shared_gate_up_proj);
    }
    if (!wants_dX()) return;
    multiply_dX(BlockGemm::shared_gate_up, saved_.shared_pre_activation, weights_.shared_gate_up_proj, workspace_.rows);
    combine(1, nullptr);
  }

  GroupedGemmArgs gemm_of(BlockGemm which) const {
    GroupedGemmArgs gemm;
    gemm.tokens = args_.tokens;
    gemm.m_sizes = is_shared(which) ? saved_.routing.token_count : saved_.routing.m_sizes;
    return gemm;
  }

  void multiply_dX(BlockGemm which, const void* dy, const void* w, void* dx) const {
    GroupedGemmArgs gemm = gemm_of(which);
    gemm.dy = dy;
    gemm.w = w;
    gemm.dx = dx;
    executor_.multiply(which, BlockPass::dX, gemm);
  }

  void multiply_dW(BlockGemm which, const void* dy, const void* x, void* dw) const {
    GroupedGemmArgs gemm = gemm_of(which);
    gemm.dy = dy;
    gemm.x = x;
    gemm.dw = dw;
    executor_.multiply(which, args_.accumulate ? BlockPass::dW_added : BlockPass::dW, gemm);
  }

  /// No tokens: sums of nothing.
  void clear_weights() const {
    if (args_.accumulate) return;
    const ModelShape& m = shape_.model;
    const std::int64_t element = shape_.float32_dw ? 4 : element_bytes(shape_.dtype);
    const std::int64_t L = shape_.experts.count;
    const std::pair<void*, std::int64_t> all[] = {
        {args_.weights.gate, std::int64_t{m.E} * m.H},
        {args_.weights.gate_up_proj, L * 2 * m.I * m.H},
        {args_.weights.down_proj, L * m.H * m.I},
        {args_.weights.shared_gate_up_proj, std::int64_t{2} * m.shared_expert_I * m.H},
        {args_.weights.shared_down_proj, std::int64_t{m.H} * m.shared_expert_I},
    };
    for (const auto& [weight, elements] : all) {
      if (weight != nullptr) executor_.clear(weight, static_cast<std::size_t>(elements * element));
    }
  }

  const BlockShape& shape_;
  const MoeWeights& weights_;
  const MoeBackwardArgs& args_;
  const SavedForward& saved_;
  const BackwardWorkspace& workspace_;
  BlockExecutor& executor_;
  MoeStepObserver* observer_;
};

}  // namespace

void enqueue_backward(const BlockShape& shape, const MoeWeights& weights, const MoeBackwardArgs& args, const SavedForward& saved,
                      const BackwardWorkspace& workspace, BlockExecutor& executor, MoeStepObserver* observer) {
  Backward(shape, weights, args, saved, workspace, executor, observer).run();
}

}  // namespace moe_tune
