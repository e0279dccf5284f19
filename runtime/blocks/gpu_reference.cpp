
#include "moe_tune/router.hpp"
#include "moe_tune/row_operations.hpp"
#include "runtime/blocks/block_shape.hpp"
#include "runtime/blocks/reference_forward.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

namespace {

/// All experts, rows in expert order, nothing fused.
BlockShape plain_shape(const ModelShape& config, DType dtype) {
  BlockShape shape;
  shape.model = config;
  shape.dtype = dtype;
  shape.experts = {0, config.E};
  shape.permute_x = shape.permute_y = false;
  return shape;
}

Problem plain_problem(const BlockShape& shape, BlockGemm gemm) {
  Problem problem = problem_of(shape, gemm);
  problem.fuse_swiglu = false;
  return problem;
}

class GpuForward : public ReferenceForward {
 public:
  GpuForward(const ModelShape& config, TensorType type, int device)
      : type_(type),
        device_(device),
        shape_(plain_shape(config, storage_dtype(type))),
        context_(device),
        router_(Library::instance(), router_problem(shape_), device),
        rows_(Library::instance(), device),
        gate_up_(Library::instance(), plain_problem(shape_, BlockGemm::gate_up), device),
        down_(Library::instance(), plain_problem(shape_, BlockGemm::down), device) {
    if (!shape_.has_shared_expert()) return;
    shared_gate_up_.emplace(Library::instance(), plain_problem(shape_, BlockGemm::shared_gate_up), device);
    shared_down_.emplace(Library::instance(), plain_problem(shape_, BlockGemm::shared_down), device);
  }

  GroupedGemmResult run(const MoeWeights& weights, const ReferenceInputs& inputs) override {
    const CurrentContext current(context_.get());
    const ModelShape& m = shape_.model;
    const std::int64_t M = inputs.tokens * m.top_k;
    GroupedGemmResult r;
    route(weights, inputs, r);
    const OwnedTensor rows = permuted(inputs, r);
    r.first_gemm = tensor({M, std::int64_t{2} * m.I});
    multiply(gate_up_, rows.data(), weights.gate_up_proj, r.first_gemm, r.token_counts_by_expert.data(), inputs.tokens);
    r.intermediate = activated(r.first_gemm, r.token_counts_by_expert.data(), m.E);
    r.second_gemm = tensor({M, m.H});
    multiply(down_, r.intermediate.data(), weights.down_proj, r.second_gemm, r.token_counts_by_expert.data(), inputs.tokens);
    unpermute(r);
    OwnedTensor merged = combined(r.hidden_states_unpermute, shape_.scales_input() ? nullptr : r.topk_weights.data(), m.top_k);
    if (shape_.has_shared_expert()) {
      r.shared_expert_out = shared_expert(weights, inputs);
      r.hidden_states = combined(merged, nullptr, 1, r.shared_expert_out.data());
    }
    if (shape_.scales_input()) {
      if (!shape_.has_shared_expert()) r.hidden_states = merged.to(device_);
      r.hidden_states_after_weight_merge = std::move(merged);
    } else {
      r.hidden_states = std::move(merged);
    }
    driver().cuStreamSynchronize(nullptr);
    return r;
  }

 private:
  OwnedTensor tensor(std::vector<std::int64_t> shape) const { return {type_, std::move(shape), device_}; }
  OwnedTensor indices(std::vector<std::int64_t> shape) const { return {TensorType::int32, std::move(shape), device_}; }

  void route(const MoeWeights& weights, const ReferenceInputs& inputs, GroupedGemmResult& r) {
    const ModelShape& m = shape_.model;
    const std::int64_t T = inputs.tokens;
    r.router_logits = tensor({T, m.E});
    r.selected_experts = indices({T, m.top_k});
    r.topk_weights = tensor({T, m.top_k});
    r.token_counts_by_expert = indices({m.E});
    r.gather_indices = indices({T * m.top_k});
    OwnedTensor slot_rows = indices({T * m.top_k});
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

  OwnedTensor bytes(std::size_t count) const { return indices({static_cast<std::int64_t>((count + 3) / 4)}); }

  OwnedTensor permuted(const ReferenceInputs& inputs, const GroupedGemmResult& r) {
    OwnedTensor rows = tensor({r.gather_indices.size(0), shape_.model.H});
    PermuteRowsArgs args;
    args.x = inputs.hidden_states;
    args.rows = rows.data();
    args.gather_indices = r.gather_indices.data();
    args.m_sizes = r.token_counts_by_expert.data();
    args.topk_weights = shape_.scales_input() ? r.topk_weights.data() : nullptr;
    args.dtype = shape_.dtype;
    args.M = rows.size(0);
    args.E = shape_.model.E;
    args.slots_per_row = shape_.model.top_k;
    args.columns = shape_.model.H;
    rows_.permute_rows(args, nullptr);
    return rows;
  }

  void multiply(GroupedGemm& gemm, const void* x, const void* w, OwnedTensor& y, const void* m_sizes, std::int64_t tokens) {
    GroupedGemmArgs args;
    args.x = x;
    args.w = w;
    args.y = y.data();
    args.m_sizes = m_sizes;
    args.tokens = tokens;
    gemm.run(args, nullptr);
  }

  OwnedTensor activated(const OwnedTensor& x, const void* m_sizes, int experts) {
    OwnedTensor out = tensor({x.size(0), x.size(1) / 2});
    ActAndMulArgs args;
    args.x = x.data();
    args.out = out.data();
    args.m_sizes = m_sizes;
    args.dtype = shape_.dtype;
    args.M = x.size(0);
    args.E = experts;
    args.columns = out.size(1);
    rows_.act_and_mul(args, nullptr);
    return out;
  }

  void unpermute(GroupedGemmResult& r) {
    r.hidden_states_unpermute = tensor(r.second_gemm.shape());
    // A slot whose expert does not exist has no row: zeros, as on the CPU.
    driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(r.hidden_states_unpermute.data()), 0,
                             r.hidden_states_unpermute.bytes(), nullptr);
    UnpermuteRowsArgs args;
    args.rows = r.second_gemm.data();
    args.out = r.hidden_states_unpermute.data();
    args.gather_indices = r.gather_indices.data();
    args.m_sizes = r.token_counts_by_expert.data();
    args.M = r.second_gemm.size(0);
    args.E = shape_.model.E;
    args.columns = shape_.model.H;
    rows_.unpermute_rows(args, nullptr);
  }

  OwnedTensor combined(const OwnedTensor& rows, const void* topk_weights, int top_k, const void* addend = nullptr) {
    OwnedTensor out = tensor({rows.size(0) / top_k, rows.size(1)});
    CombineRowsArgs args;
    args.rows = rows.data();
    args.out = out.data();
    args.addend = addend;
    args.topk_weights = topk_weights;
    args.dtype = shape_.dtype;
    args.tokens = out.size(0);
    args.top_k = top_k;
    args.columns = out.size(1);
    rows_.combine_rows(args, nullptr);
    return out;
  }

  OwnedTensor shared_expert(const MoeWeights& weights, const ReferenceInputs& inputs) {
    const std::int64_t T = inputs.tokens;
    OwnedTensor count = indices({1});
    driver().cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(count.data()), static_cast<unsigned>(T), 1, nullptr);
    OwnedTensor first = tensor({T, std::int64_t{2} * shape_.model.shared_expert_I});
    multiply(*shared_gate_up_, inputs.hidden_states, weights.shared_gate_up_proj, first, count.data(), T);
    const OwnedTensor activation = activated(first, nullptr, 0);
    OwnedTensor out = tensor({T, shape_.model.H});
    multiply(*shared_down_, activation.data(), weights.shared_down_proj, out, count.data(), T);
    driver().cuStreamSynchronize(nullptr);
    return out;
  }

  TensorType type_;
  int device_;
  BlockShape shape_;
  PrimaryContext context_;
  Router router_;
  RowOperations rows_;
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
