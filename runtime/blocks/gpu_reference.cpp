#include <optional>
#include <utility>

#include "moe_tune/router.hpp"
#include "runtime/blocks/gpu_steps.hpp"
#include "runtime/blocks/reference_forward.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

namespace {

class GpuForward : public ReferenceForward {
 public:
  GpuForward(const ModelShape& config, TensorType type, int device)
      : steps_(config, type, device),
        router_(Library::instance(), router_problem(steps_.shape()), device),
        gate_up_(steps_.gemm(BlockGemm::gate_up)),
        down_(steps_.gemm(BlockGemm::down)) {
    if (!steps_.shape().has_shared_expert()) return;
    shared_gate_up_.emplace(steps_.gemm(BlockGemm::shared_gate_up));
    shared_down_.emplace(steps_.gemm(BlockGemm::shared_down));
  }

  GroupedGemmResult run(const MoeWeights& weights, const ReferenceInputs& inputs) override {
    const CurrentContext current(steps_.context().get());
    const BlockShape& shape = steps_.shape();
    const ModelShape& m = shape.model;
    const std::int64_t M = inputs.tokens * m.top_k;
    GroupedGemmResult r;
    route(weights, inputs, r);
    const ExpertRows experts{r.token_counts_by_expert.data(), m.E, inputs.tokens};
    const OwnedTensor rows = steps_.permuted(inputs.hidden_states, r, shape.scales_input() ? r.topk_weights.data() : nullptr);
    r.first_gemm = steps_.product(gate_up_, rows.data(), weights.gate_up_proj, M, std::int64_t{2} * m.I, experts);
    r.intermediate = steps_.activated(r.first_gemm, experts);
    r.second_gemm = steps_.product(down_, r.intermediate.data(), weights.down_proj, M, m.H, experts);
    r.hidden_states_unpermute = steps_.unpermuted(r.second_gemm, r);
    OwnedTensor merged =
        steps_.combined(r.hidden_states_unpermute, m.top_k, shape.scales_input() ? nullptr : r.topk_weights.data());
    if (shape.has_shared_expert()) {
      r.shared_expert_out = shared_expert(weights, inputs);
      r.hidden_states = steps_.combined(merged, 1, nullptr, r.shared_expert_out.data());
    }
    if (shape.scales_input()) {
      if (!shape.has_shared_expert()) r.hidden_states = merged.to(steps_.device());
      r.hidden_states_after_weight_merge = std::move(merged);
    } else {
      r.hidden_states = std::move(merged);
    }
    driver().cuStreamSynchronize(nullptr);
    return r;
  }

 private:
  void route(const MoeWeights& weights, const ReferenceInputs& inputs, GroupedGemmResult& r) {
    const ModelShape& m = steps_.shape().model;
    const std::int64_t T = inputs.tokens;
    r.router_logits = steps_.tensor({T, m.E});
    r.selected_experts = steps_.indices({T, m.top_k});
    r.topk_weights = steps_.tensor({T, m.top_k});
    r.token_counts_by_expert = steps_.indices({m.E});
    r.gather_indices = steps_.indices({T * m.top_k});
    OwnedTensor slot_rows = steps_.indices({T * m.top_k});
    OwnedTensor workspace = bytes(router_.workspace_bytes(T));
    if (inputs.selected_experts != nullptr && T > 0) {
      driver().cuMemcpyDtoDAsync(reinterpret_cast<CUdeviceptr>(r.selected_experts.data()),
                                 reinterpret_cast<CUdeviceptr>(inputs.selected_experts), r.selected_experts.bytes(), nullptr);
    }
    RouterArgs args;
    args.hidden_states = inputs.hidden_states;
    args.weight = weights.gate;
    args.router_logits = r.router_logits.data();
    args.selected_experts = r.selected_experts.data();
    args.topk_weights = r.topk_weights.data();
    args.m_sizes = r.token_counts_by_expert.data();
    args.gather_indices = r.gather_indices.data();
    args.slot_rows = slot_rows.data();
    args.inject = inputs.selected_experts != nullptr;
    args.tokens = T;
    args.workspace = workspace.data();
    args.workspace_bytes = workspace.bytes();
    router_.run(args, nullptr);
    driver().cuStreamSynchronize(nullptr);  // what only this step needs goes now
  }

  OwnedTensor bytes(std::size_t count) const { return steps_.indices({static_cast<std::int64_t>((count + 3) / 4)}); }

  OwnedTensor shared_expert(const MoeWeights& weights, const ReferenceInputs& inputs) {
    const ModelShape& m = steps_.shape().model;
    const std::int64_t T = inputs.tokens;
    const OwnedTensor count = steps_.count_of_all(T);
    const ExpertRows all{count.data(), 1, T};
    const OwnedTensor first = steps_.product(*shared_gate_up_, inputs.hidden_states, weights.shared_gate_up_proj, T,
                                             std::int64_t{2} * m.shared_expert_I, all);
    const OwnedTensor activation = steps_.activated(first, all);
    OwnedTensor out = steps_.product(*shared_down_, activation.data(), weights.shared_down_proj, T, m.H, all);
    driver().cuStreamSynchronize(nullptr);
    return out;
  }

  GpuSteps steps_;
  Router router_;
  GroupedGemm gate_up_;
  GroupedGemm down_;
  std::optional<GroupedGemm> shared_gate_up_;
  std::optional<GroupedGemm> shared_down_;
};

}  // namespace

std::unique_ptr<ReferenceForward> make_gpu_forward(const ModelShape& config, TensorType type, int device) {
  return std::make_unique<GpuForward>(config, type, device);
}

}  // namespace moe_tune
