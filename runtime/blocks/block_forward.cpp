#include "runtime/blocks/block_forward.hpp"

#include "generator/support/checked.hpp"

namespace moe_tune {

namespace {

class Forward {
 public:
  Forward(const BlockShape& shape, const MoeWeights& weights, const MoeForwardArgs& args, const BlockWorkspace& workspace,
          BlockExecutor& executor)
      : shape_(shape), weights_(weights), args_(args), workspace_(workspace), executor_(executor) {}

  void route() const {
    RouterArgs router;
    router.hidden_states = args_.hidden_states;
    router.weight = weights_.gate;
    router.router_logits = args_.router_logits != nullptr ? args_.router_logits : workspace_.router_logits;
    router.selected_experts = args_.selected_experts != nullptr ? args_.selected_experts : workspace_.selected_experts;
    router.topk_weights = topk_weights();
    router.m_sizes = workspace_.m_sizes;
    router.gather_indices = workspace_.gather_indices;
    router.slot_rows = workspace_.slot_rows;
    router.inject = args_.inject_selection;
    router.token_count = args_.token_count;
    router.tokens = args_.tokens;
    router.workspace = workspace_.router;
    router.workspace_bytes = workspace_.needs.router;
    executor_.route(router);
  }

  /// Rows in expert order, in the place that the second GEMM's will take.
  void permute() const {
    PermuteRowsArgs permute;
    permute.x = args_.hidden_states;
    permute.rows = workspace_.rows;
    permute.gather_indices = workspace_.gather_indices;
    permute.m_sizes = workspace_.m_sizes;
    permute.dtype = shape_.dtype;
    permute.topk_weights = shape_.scales_input() ? topk_weights() : nullptr;
    permute.M = M();
    permute.E = shape_.experts.count;
    permute.slots_per_row = shape_.model.top_k;
    permute.columns = shape_.model.H;
    executor_.permute_rows(permute);
  }

  void gate_up() const {
    GroupedGemmArgs gemm = routed_gemm();
    gemm.x = shape_.permute_x ? args_.hidden_states : workspace_.rows;
    gemm.w = weights_.gate_up_proj;
    gemm.y = workspace_.activation;
    gemm.topk_weights = shape_.permute_x && shape_.scales_input() ? topk_weights() : nullptr;
    if (workspace_.needs.gate_up > 0) {
      gemm.workspace = workspace_.rows;
      gemm.workspace_bytes = workspace_.rows_bytes;
    }
    executor_.multiply(BlockGemm::gate_up, gemm);
  }

  void down() const {
    GroupedGemmArgs gemm = routed_gemm();
    gemm.x = workspace_.activation;
    gemm.w = weights_.down_proj;
    gemm.y = workspace_.rows;
    executor_.multiply(BlockGemm::down, gemm);
  }

  /// Its result stands in `out`, to which combine() adds.
  void shared_expert() const {
    const void* count = args_.token_count;
    if (count == nullptr) {
      executor_.store_word(workspace_.token_count, narrow<int>(args_.tokens, "tokens"));
      count = workspace_.token_count;
    }
    GroupedGemmArgs gemm;
    gemm.tokens = args_.tokens;
    gemm.m_sizes = count;
    gemm.x = args_.hidden_states;
    gemm.w = weights_.shared_gate_up_proj;
    gemm.y = workspace_.shared_activation;
    executor_.multiply(BlockGemm::shared_gate_up, gemm);
    gemm.x = workspace_.shared_activation;
    gemm.w = weights_.shared_down_proj;
    gemm.y = args_.out;
    executor_.multiply(BlockGemm::shared_down, gemm);
  }

  void combine() const {
    CombineRowsArgs combine;
    combine.rows = workspace_.rows;
    combine.out = args_.out;
    combine.addend = shape_.has_shared_expert() ? args_.out : nullptr;
    combine.topk_weights = shape_.scales_input() ? nullptr : topk_weights();
    // In slot order all slots have a row where all experts are here.
    if (!shape_.permute_y || args_.inject_selection || shape_.experts.count < shape_.model.E)
      combine.slot_rows = workspace_.slot_rows;
    combine.expert_order = !shape_.permute_y;
    combine.token_count = args_.token_count;
    combine.dtype = shape_.dtype;
    combine.tokens = args_.tokens;
    combine.top_k = shape_.model.top_k;
    combine.columns = shape_.model.H;
    executor_.combine_rows(combine);
  }

 private:
  std::int64_t M() const { return args_.tokens * shape_.model.top_k; }

  void* topk_weights() const { return args_.topk_weights != nullptr ? args_.topk_weights : workspace_.topk_weights; }

  GroupedGemmArgs routed_gemm() const {
    GroupedGemmArgs gemm;
    gemm.tokens = args_.tokens;
    gemm.m_sizes = workspace_.m_sizes;
    gemm.gather_indices = workspace_.gather_indices;
    return gemm;
  }

  const BlockShape& shape_;
  const MoeWeights& weights_;
  const MoeForwardArgs& args_;
  const BlockWorkspace& workspace_;
  BlockExecutor& executor_;
};

}  // namespace

void enqueue_forward(const BlockShape& shape, const MoeWeights& weights, const MoeForwardArgs& args,
                     const BlockWorkspace& workspace, BlockExecutor& executor, MoeStepObserver* observer) {
  const Forward forward(shape, weights, args, workspace, executor);
  const auto step = [observer](std::string_view name) {
    if (observer != nullptr) observer->on_step(name);
  };
  const bool overlaps = shape.has_shared_expert() && shape.overlap_router_shared;
  if (shape.has_shared_expert()) {
    step("shared_expert");
    if (overlaps) executor.begin_branch();
    forward.shared_expert();
    if (overlaps) executor.end_branch();
  }
  step("router");
  forward.route();
  if (!shape.permute_x) {
    step("permute");
    forward.permute();
  }
  step("gate_up");
  forward.gate_up();
  step("down");
  forward.down();
  step("combine");
  if (overlaps) executor.join_branch();
  forward.combine();
  step("end");
}

}  // namespace moe_tune
