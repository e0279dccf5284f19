#include "runtime/reference/moe_block_gradient.hpp"

#include <cmath>
#include <numeric>
#include <span>

#include "runtime/reference/matrix_products.hpp"
#include "runtime/reference/router_scores.hpp"

namespace moe_tune {

namespace {

MoeBlockInputs unrounded(MoeBlockInputs inputs) {
  inputs.rounding = Storage::float64;
  inputs.score_order = ScoreOrder::before_products;
  return inputs;
}

void add(std::span<double> sums, std::span<const double> values, double scale = 1) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += scale * values[i];
}

/// Of silu(gate) * up; pre_activation's rows are gate and up, each `columns` wide, those of d_activation `columns`.
std::vector<double> swiglu_gradient(std::span<const double> pre_activation, std::span<const double> d_activation,
                                    std::size_t columns) {
  std::vector<double> gradient(pre_activation.size());
  for (std::size_t i = 0; i < d_activation.size(); ++i) {
    const std::size_t at = i / columns * 2 * columns + i % columns;
    const double gate = pre_activation[at];
    const double sigmoid = 1 / (1 + std::exp(-gate));
    gradient[at] = d_activation[i] * pre_activation[at + columns] * sigmoid * (1 + gate * (1 - sigmoid));
    gradient[at + columns] = d_activation[i] * gate * sigmoid;
  }
  return gradient;
}

class Backward {
 public:
  Backward(const MoeBlockInputs& inputs, const void* d_out, const void* d_router_logits)
      : in_(unrounded(inputs)),
        forward_(reference_moe_block(in_)),
        x_(unpack(in_.hidden_states, in_.shape.H)),
        d_out_(unpack(d_out, in_.shape.H)) {
    result_.d_hidden_states.resize(x_.size());
    result_.d_topk_weights.resize(forward_.selected_experts.size());
    result_.d_router_logits.resize(forward_.router_logits.size());
    if (d_router_logits != nullptr) result_.d_router_logits = unpack(d_router_logits, in_.shape.E);
  }

  MoeBlockGradient run() {
    experts();
    router();
    if (in_.shared_gate_up_proj != nullptr) shared_expert();
    return std::move(result_);
  }

 private:
  bool scales_input() const { return in_.shape.router == RouterKind::sigmoid; }
  std::size_t H() const { return static_cast<std::size_t>(in_.shape.H); }
  std::size_t E() const { return static_cast<std::size_t>(in_.shape.E); }
  std::size_t top_k() const { return static_cast<std::size_t>(in_.shape.top_k); }

  std::vector<double> unpack(const void* data, int columns) const {
    return TensorView{data, in_.dtype}.values(0, in_.tokens * columns);
  }

  ExpertWeights expert_weights(const void* weights, int N, int K) const {
    return {{weights, in_.dtype}, forward_.token_counts_by_expert, N, K, in_.threads};
  }
  ExpertWeights weights_of_all(const void* weights, int N, int K) const {
    return {{weights, in_.dtype}, all_, N, K, in_.threads};
  }

  /// From d_out to the rows that go into the experts, the experts' weights and the routing weights.
  void experts() {
    const ExpertWeights gate_up = expert_weights(in_.gate_up_proj, 2 * in_.shape.I, in_.shape.H);
    const ExpertWeights down = expert_weights(in_.down_proj, in_.shape.H, in_.shape.I);
    result_.d_second_gemm.resize(forward_.second_gemm.size());
    for (std::size_t row = 0; row < rows(); ++row) {
      add(row_of(result_.d_second_gemm, row), row_of(d_out_, token_of(row)), scales_input() ? 1 : weight_of(row));
    }
    result_.d_down_proj = weights_of_products(down, result_.d_second_gemm, forward_.intermediate);
    result_.d_intermediate = multiply_transposed(down, result_.d_second_gemm);
    result_.d_first_gemm = swiglu_gradient(forward_.first_gemm, result_.d_intermediate, static_cast<std::size_t>(in_.shape.I));
    result_.d_gate_up_proj = weights_of_products(gate_up, result_.d_first_gemm, forward_.routed_in);
    std::vector<double> d_routed_in = multiply_transposed(gate_up, result_.d_first_gemm);
    for (std::size_t row = 0; row < rows(); ++row) {
      const auto d_row = row_of(d_routed_in, row);
      add(row_of(result_.d_hidden_states, token_of(row)), d_row, scales_input() ? weight_of(row) : 1);
      // The weight multiplies what goes into the expert, or what comes out.
      double& d_weight = result_.d_topk_weights[slot_of(row)];
      d_weight = scales_input() ? dot(d_row, row_of(x_, token_of(row)))
                                : dot(row_of(d_out_, token_of(row)), row_of(forward_.second_gemm, row));
    }
  }

  /// Through the weights of the chosen to the logits, and from there through the router's product.
  void router() {
    for (std::size_t token = 0; token < static_cast<std::size_t>(in_.tokens); ++token) {
      add(std::span(result_.d_router_logits).subspan(token * E(), E()),
          gradient_of_logits(in_.shape.router, std::span(forward_.router_logits).subspan(token * E(), E()),
                             std::span(forward_.selected_experts).subspan(token * top_k(), top_k()),
                             std::span(result_.d_topk_weights).subspan(token * top_k(), top_k())));
    }
    const ExpertWeights gate = weights_of_all(in_.gate, in_.shape.E, in_.shape.H);
    result_.d_gate = weights_of_products(gate, result_.d_router_logits, x_);
    add(result_.d_hidden_states, multiply_transposed(gate, result_.d_router_logits));
  }

  void shared_expert() {
    const int S = in_.shape.shared_expert_I;
    const ExpertWeights gate_up = weights_of_all(in_.shared_gate_up_proj, 2 * S, in_.shape.H);
    const ExpertWeights down = weights_of_all(in_.shared_down_proj, in_.shape.H, S);
    result_.d_shared_down_proj = weights_of_products(down, d_out_, forward_.shared_intermediate);
    const auto d_first_gemm =
        swiglu_gradient(forward_.shared_first_gemm, multiply_transposed(down, d_out_), static_cast<std::size_t>(S));
    result_.d_shared_gate_up_proj = weights_of_products(gate_up, d_first_gemm, x_);
    add(result_.d_hidden_states, multiply_transposed(gate_up, d_first_gemm));
  }

  std::size_t rows() const { return forward_.gather_indices.size(); }
  std::size_t slot_of(std::size_t row) const { return static_cast<std::size_t>(forward_.gather_indices[row]); }
  std::size_t token_of(std::size_t row) const { return slot_of(row) / top_k(); }
  double weight_of(std::size_t row) const { return forward_.topk_weights[slot_of(row)]; }

  std::span<double> row_of(std::vector<double>& values, std::size_t row) const {
    return std::span(values).subspan(row * H(), H());
  }
  std::span<const double> row_of(const std::vector<double>& values, std::size_t row) const {
    return std::span(values).subspan(row * H(), H());
  }
  static double dot(std::span<const double> a, std::span<const double> b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }

  MoeBlockInputs in_;
  MoeBlockResult forward_;
  std::vector<std::int64_t> all_ = {in_.tokens};  ///< the counts of one expert that sees every token
  std::vector<double> x_;
  std::vector<double> d_out_;
  MoeBlockGradient result_;
};

}  // namespace

MoeBlockGradient reference_moe_block_gradient(const MoeBlockInputs& inputs, const void* d_out, const void* d_router_logits) {
  return Backward(inputs, d_out, d_router_logits).run();
}

}  // namespace moe_tune
