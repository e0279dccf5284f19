#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "runtime/blocks/gpu_steps.hpp"
#include "runtime/blocks/host_values.hpp"
#include "runtime/blocks/reference_backward.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/reference/matrix_products.hpp"
#include "runtime/reference/router_scores.hpp"

namespace moe_tune {

namespace {

/// A GEMM's two gradients.
struct Gradients {
  GroupedGemm rows;
  GroupedGemm weights;

  Gradients(const GpuSteps& steps, BlockGemm gemm) : rows(steps.gemm(gemm, Op::dX)), weights(steps.gemm(gemm, Op::dW)) {}
};

struct SharedExpert {
  GroupedGemm gate_up_forward;
  Gradients gate_up;
  Gradients down;

  explicit SharedExpert(const GpuSteps& steps)
      : gate_up_forward(steps.gemm(BlockGemm::shared_gate_up)),
        gate_up(steps, BlockGemm::shared_gate_up),
        down(steps, BlockGemm::shared_down) {}
};

class GpuBackward : public ReferenceBackward {
 public:
  GpuBackward(const ModelShape& config, TensorType type, int device)
      : steps_(config, type, device),
        forward_(make_gpu_forward(config, type, device)),
        gate_up_(steps_, BlockGemm::gate_up),
        down_(steps_, BlockGemm::down) {
    if (steps_.shape().has_shared_expert()) shared_.emplace(steps_);
  }

  GroupedGemmGradients run(const MoeWeights& weights, const ReferenceInputs& inputs, const ReferenceOutputGradients& d) override {
    const CurrentContext current(steps_.context().get());
    const GroupedGemmResult forward = forward_->run(weights, inputs);
    GroupedGemmGradients g;
    const OwnedTensor d_routed_in = experts(weights, inputs, d, forward, g);
    const OwnedTensor d_slots = steps_.unpermuted(d_routed_in, forward);
    g.d_hidden_states = steps_.combined(d_slots, model().top_k, scales_input() ? forward.topk_weights.data() : nullptr);
    if (shared_) g.d_hidden_states = sum(g.d_hidden_states, shared_expert(weights, inputs, d, g));
    g.d_topk_weights = routing_weights(inputs, d, forward, d_routed_in);
    g.d_router_logits = router_logits(d, forward, g.d_topk_weights);
    g.d_hidden_states = sum(g.d_hidden_states, router(weights, inputs, g));
    return g;
  }

 private:
  const ModelShape& model() const { return steps_.shape().model; }
  bool scales_input() const { return steps_.shape().scales_input(); }

  /// From d_out to the rows that go into the experts, which it returns.
  OwnedTensor experts(const MoeWeights& weights, const ReferenceInputs& inputs, const ReferenceOutputGradients& d,
                      const GroupedGemmResult& forward, GroupedGemmGradients& g) {
    const ModelShape& m = model();
    const std::int64_t M = inputs.tokens * m.top_k;
    const ExpertRows rows{forward.token_counts_by_expert.data(), m.E, inputs.tokens};
    // The weight multiplies what goes into the expert, or what comes out.
    const void* const of_input = scales_input() ? forward.topk_weights.data() : nullptr;
    const void* const of_output = scales_input() ? nullptr : forward.topk_weights.data();
    g.d_second_gemm = steps_.permuted(d.out, forward, of_output);
    g.d_down_proj =
        steps_.gradient_of_weights(down_.weights, g.d_second_gemm.data(), forward.intermediate.data(), {m.E, m.H, m.I}, rows);
    g.d_intermediate = steps_.gradient_of_rows(down_.rows, g.d_second_gemm.data(), weights.down_proj, M, m.I, rows);
    g.d_first_gemm = steps_.gradient_of_activated(g.d_intermediate, forward.first_gemm, rows);
    const OwnedTensor routed_in = steps_.permuted(inputs.hidden_states, forward, of_input);
    g.d_gate_up_proj = steps_.gradient_of_weights(gate_up_.weights, g.d_first_gemm.data(), routed_in.data(),
                                                  {m.E, std::int64_t{2} * m.I, m.H}, rows);
    OwnedTensor d_routed_in = steps_.gradient_of_rows(gate_up_.rows, g.d_first_gemm.data(), weights.gate_up_proj, M, m.H, rows);
    driver().cuStreamSynchronize(nullptr);  // what only this step needs goes now, here and below
    return d_routed_in;
  }

  /// Returns its part of d_hidden_states.
  OwnedTensor shared_expert(const MoeWeights& weights, const ReferenceInputs& inputs, const ReferenceOutputGradients& d,
                            GroupedGemmGradients& g) {
    const std::int64_t H = model().H;
    const std::int64_t S = model().shared_expert_I;
    const std::int64_t T = inputs.tokens;
    const OwnedTensor count = steps_.count_of_all(T);
    const ExpertRows all{count.data(), 1, T};
    const OwnedTensor first_gemm =
        steps_.product(shared_->gate_up_forward, inputs.hidden_states, weights.shared_gate_up_proj, T, 2 * S, all);
    const OwnedTensor intermediate = steps_.activated(first_gemm, all);
    g.d_shared_down_proj = steps_.gradient_of_weights(shared_->down.weights, d.out, intermediate.data(), {H, S}, all);
    const OwnedTensor d_intermediate = steps_.gradient_of_rows(shared_->down.rows, d.out, weights.shared_down_proj, T, S, all);
    const OwnedTensor d_first_gemm = steps_.gradient_of_activated(d_intermediate, first_gemm, all);
    g.d_shared_gate_up_proj =
        steps_.gradient_of_weights(shared_->gate_up.weights, d_first_gemm.data(), inputs.hidden_states, {2 * S, H}, all);
    OwnedTensor d_hidden =
        steps_.gradient_of_rows(shared_->gate_up.rows, d_first_gemm.data(), weights.shared_gate_up_proj, T, H, all);
    driver().cuStreamSynchronize(nullptr);
    return d_hidden;
  }

  OwnedTensor sum(const OwnedTensor& a, const OwnedTensor& b) {
    OwnedTensor result = steps_.combined(a, 1, nullptr, b.data());
    driver().cuStreamSynchronize(nullptr);
    return result;
  }

  // On the host, in float64, from what the steps above have stored.

  std::vector<double> values_at(const void* data, std::int64_t rows, std::int64_t columns) const {
    return host_values(data, rows * columns, steps_.type(), steps_.device());
  }
  OwnedTensor on_device(const std::vector<double>& values, std::int64_t rows, std::int64_t columns) const {
    return tensor_of(steps_.type(), values, {rows, columns}, steps_.device());
  }

  /// Of what the weight of a slot multiplies: a row of x on the way in, or of the second GEMM on the way out.
  OwnedTensor routing_weights(const ReferenceInputs& inputs, const ReferenceOutputGradients& d, const GroupedGemmResult& forward,
                              const OwnedTensor& d_routed_in) const {
    const auto H = static_cast<std::size_t>(model().H);
    const std::vector<double> by_token = values_at(scales_input() ? inputs.hidden_states : d.out, inputs.tokens, model().H);
    const std::vector<double> by_row = host_values(scales_input() ? d_routed_in : forward.second_gemm);
    const std::vector<std::int32_t> counts = host_integers(forward.token_counts_by_expert);
    const std::vector<std::int32_t> slots = host_integers(forward.gather_indices);
    std::vector<double> gradient(slots.size());
    const auto rows = static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
    for (std::size_t row = 0; row < rows; ++row) {
      const auto slot = static_cast<std::size_t>(slots[row]);
      const auto values = std::span(by_row).subspan(row * H, H);
      const auto token = std::span(by_token).subspan(slot / static_cast<std::size_t>(model().top_k) * H, H);
      gradient[slot] = std::inner_product(values.begin(), values.end(), token.begin(), 0.0);
    }
    return on_device(gradient, inputs.tokens, model().top_k);
  }

  OwnedTensor router_logits(const ReferenceOutputGradients& d, const GroupedGemmResult& forward,
                            const OwnedTensor& d_topk_weights) const {
    const auto E = static_cast<std::size_t>(model().E);
    const auto top_k = static_cast<std::size_t>(model().top_k);
    const std::int64_t tokens = forward.router_logits.size(0);
    const std::vector<double> logits = host_values(forward.router_logits);
    const std::vector<std::int32_t> selected = host_integers(forward.selected_experts);
    const std::vector<double> d_weights = host_values(d_topk_weights);
    std::vector<double> gradient(logits.size());
    if (d.router_logits != nullptr) gradient = values_at(d.router_logits, tokens, model().E);
    for (std::size_t token = 0; token < static_cast<std::size_t>(tokens); ++token) {
      const std::vector<double> through_weights = gradient_of_logits(model().router, std::span(logits).subspan(token * E, E),
                                                                     std::span(selected).subspan(token * top_k, top_k),
                                                                     std::span(d_weights).subspan(token * top_k, top_k));
      for (std::size_t expert = 0; expert < E; ++expert) gradient[token * E + expert] += through_weights[expert];
    }
    return on_device(gradient, tokens, model().E);
  }

  /// Returns its part of d_hidden_states.
  OwnedTensor router(const MoeWeights& weights, const ReferenceInputs& inputs, GroupedGemmGradients& g) const {
    const ModelShape& m = model();
    const std::vector<double> gate = values_at(weights.gate, m.E, m.H);
    const std::vector<double> d_logits = host_values(g.d_router_logits);
    const std::vector<std::int64_t> all = {inputs.tokens};
    const ExpertWeights product{{gate.data(), Storage::float64}, all, m.E, m.H};
    g.d_gate = on_device(weights_of_products(product, d_logits, values_at(inputs.hidden_states, inputs.tokens, m.H)), m.E, m.H);
    return on_device(multiply_transposed(product, d_logits), inputs.tokens, m.H);
  }

  GpuSteps steps_;
  std::unique_ptr<ReferenceForward> forward_;
  Gradients gate_up_;
  Gradients down_;
  std::optional<SharedExpert> shared_;
};

}  // namespace

std::unique_ptr<ReferenceBackward> make_gpu_backward(const ModelShape& config, TensorType type, int device) {
  return std::make_unique<GpuBackward>(config, type, device);
}

}  // namespace moe_tune
