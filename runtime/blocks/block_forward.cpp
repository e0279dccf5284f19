#include "runtime/blocks/block_forward.hpp"

#include "generator/support/checked.hpp"

namespace moe_tune {

namespace {

class Forward {
 public:
  Forward(const BlockShape& shape, const MoeWeights& weights, const MoeForwardArgs& args, const ForwardWorkspace& workspace,
          const SavedForward* saved, BlockExecutor& executor)
      : shape_(shape),
        weights_(weights),
        args_(args),
        workspace_(workspace),
        saved_(saved),
        routing_(routing_of(args, saved == nullptr ? workspace.routing : saved->routing)),
        executor_(executor) {}

  void route() const {
    RouterArgs router;
    router.hidden_states = args_.hidden_states;
    router.weight = weights_.gate;
    router.router_logits = routing_.router_logits;
    router.selected_experts = routing_.selected_experts;
    router.topk_weights = routing_.topk_weights;
    router.m_sizes = routing_.m_sizes;
    router.gather_indices = routing_.gather_indices;
    router.slot_rows = routing_.slot_rows;
    router.inject = args_.inject_selection;
    router.token_count = args_.token_count;
    router.tokens = args_.tokens;
    router.workspace = workspace_.router;
    router.workspace_bytes = workspace_.needs.router;
    executor_.route(router);
  }

  /// What went to the caller's own tensors is kept as well: they may change before the backward.
  void keep_routing() const {
    if (saved_ == nullptr) return;
    const auto keep = [&](void* kept, const void* given, std::int64_t elements, int bytes) {
      if (given != nullptr) executor_.copy(kept, given, static_cast<std::size_t>(elements * bytes));
    };
    const int element = element_bytes(shape_.dtype);
    keep(saved_->routing.router_logits, args_.router_logits, args_.tokens * shape_.model.E, element);
    keep(saved_->routing.selected_experts, args_.selected_experts, M(), sizeof(int));
    keep(saved_->routing.topk_weights, args_.topk_weights, M(), element);
    keep(saved_->routing.token_count, args_.token_count, 1, sizeof(int));
  }

  /// How many tokens are there, in a word on the device.
  void count_tokens() const {
    if (args_.token_count == nullptr && (saved_ != nullptr || shape_.has_shared_expert()))
      executor_.store_word(routing_.token_count, narrow<int>(args_.tokens, "tokens"));
  }

  /// Rows in expert order, in the place that the second GEMM's will take.
  void permute() const {
    PermuteRowsArgs permute;
    permute.x = args_.hidden_states;
    permute.rows = workspace_.rows;
    permute.slot_rows = routing_.slot_rows;
    permute.dtype = shape_.dtype;
    permute.topk_weights = shape_.scales_input() ? routing_.topk_weights : nullptr;
    permute.M = M();
    permute.slots_per_row = shape_.model.top_k;
    permute.columns = shape_.model.H;
    executor_.permute_rows(permute);
  }

  void gate_up() const {
    GroupedGemmArgs gemm = routed_gemm();
    gemm.x = shape_.permute_x ? args_.hidden_states : workspace_.rows;
    gemm.w = weights_.gate_up_proj;
    gemm.y = workspace_.activation;
    gemm.topk_weights = shape_.permute_x && shape_.scales_input() ? routing_.topk_weights : nullptr;
    gemm.pre_activation = saved_ == nullptr ? nullptr : saved_->pre_activation;
    if (workspace_.needs.gate_up > 0) {
      gemm.workspace = workspace_.rows;
      gemm.workspace_bytes = workspace_.rows_bytes;
    }
    executor_.multiply(BlockGemm::gate_up, pass(), gemm);
  }

  void down() const {
    GroupedGemmArgs gemm = routed_gemm();
    gemm.x = workspace_.activation;
    gemm.w = weights_.down_proj;
    gemm.y = workspace_.rows;
    executor_.multiply(BlockGemm::down, pass(), gemm);
  }

  /// Its result stands in `out`, to which combine() adds.
  void shared_expert() const {
    GroupedGemmArgs gemm;
    gemm.tokens = args_.tokens;
    gemm.m_sizes = routing_.token_count;
    gemm.x = args_.hidden_states;
    gemm.w = weights_.shared_gate_up_proj;
    gemm.y = workspace_.shared_activation;
    gemm.pre_activation = saved_ == nullptr ? nullptr : saved_->shared_pre_activation;
    executor_.multiply(BlockGemm::shared_gate_up, pass(), gemm);
    gemm.pre_activation = nullptr;
    gemm.x = workspace_.shared_activation;
    gemm.w = weights_.shared_down_proj;
    gemm.y = args_.out;
    executor_.multiply(BlockGemm::shared_down, pass(), gemm);
  }

  void combine() const {
    CombineRowsArgs combine;
    combine.rows = workspace_.rows;
    combine.out = args_.out;
    combine.addend = shape_.has_shared_expert() ? args_.out : nullptr;
    combine.topk_weights = shape_.scales_input() ? nullptr : routing_.topk_weights;
    // In slot order all slots have a row where all experts are here.
    if (!shape_.permute_y || args_.inject_selection || shape_.experts.count < shape_.model.E)
      combine.slot_rows = routing_.slot_rows;
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

  BlockPass pass() const { return saved_ == nullptr ? BlockPass::inference : BlockPass::training; }

  /// Where results of the router go: to the caller's tensors, or to those of this call.
  static BlockRouting routing_of(const MoeForwardArgs& args, BlockRouting routing) {
    if (args.router_logits != nullptr) routing.router_logits = args.router_logits;
    if (args.selected_experts != nullptr) routing.selected_experts = args.selected_experts;
    if (args.topk_weights != nullptr) routing.topk_weights = args.topk_weights;
    // It is only read.
    if (args.token_count != nullptr) routing.token_count = const_cast<void*>(args.token_count);
    return routing;
  }

  GroupedGemmArgs routed_gemm() const {
    GroupedGemmArgs gemm;
    gemm.tokens = args_.tokens;
    gemm.m_sizes = routing_.m_sizes;
    gemm.gather_indices = routing_.gather_indices;
    return gemm;
  }

  const BlockShape& shape_;
  const MoeWeights& weights_;
  const MoeForwardArgs& args_;
  const ForwardWorkspace& workspace_;
  const SavedForward* saved_;
  const BlockRouting routing_;
  BlockExecutor& executor_;
};

}  // namespace

void enqueue_forward(const BlockShape& shape, const MoeWeights& weights, const MoeForwardArgs& args,
                     const ForwardWorkspace& workspace, const SavedForward* saved, BlockExecutor& executor,
                     MoeStepObserver* observer) {
  const Forward forward(shape, weights, args, workspace, saved, executor);
  const auto step = [observer](std::string_view name) {
    if (observer != nullptr) observer->on_step(name);
  };
  forward.count_tokens();
  const bool overlaps = shape.has_shared_expert() && shape.overlap_router_shared;
  if (shape.has_shared_expert()) {
    step("shared_expert");
    if (overlaps) executor.begin_branch();
    forward.shared_expert();
    if (overlaps) executor.end_branch();
  }
  step("router");
  forward.route();
  forward.keep_routing();
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
