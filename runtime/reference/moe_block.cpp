#include "runtime/reference/moe_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"
#include "runtime/reference/matrix_products.hpp"
#include "runtime/reference/router_scores.hpp"

namespace moe_tune {

namespace {

void validate(const MoeBlockInputs& in) {
  const ModelShape& s = in.shape;
  if (s.E < 1 || s.H < 1 || s.I < 1 || s.shared_expert_I < 0 || s.top_k < 1 || s.top_k > s.E || in.tokens < 0) {
    throw UsageError(fmt::format("no MoE block has E = {}, top_k = {}, H = {}, I = {}, a shared expert of {} and {} tokens", s.E,
                                 s.top_k, s.H, s.I, s.shared_expert_I, in.tokens));
  }
  narrow<int>(in.tokens * s.top_k, "tokens * top_k");
  const bool shared = in.shared_gate_up_proj != nullptr;
  if (shared != (in.shared_down_proj != nullptr) || (shared && s.shared_expert_I == 0)) {
    throw UsageError("a shared expert needs both of its weights, and a model that has one");
  }
  if (in.gate == nullptr || in.gate_up_proj == nullptr || in.down_proj == nullptr ||
      (in.hidden_states == nullptr && in.tokens > 0)) {
    throw UsageError("hidden_states, gate, gate_up_proj and down_proj are needed");
  }
}

/// Every step of one call, in the order of the public names.
class Block {
 public:
  explicit Block(const MoeBlockInputs& in)
      : in_(in),
        shape_(in.shape),
        local_(local_experts(in)),
        tokens_(static_cast<int>(in.tokens)),
        x_(TensorView{in.hidden_states, in.dtype}.values(0, in.tokens * shape_.H)) {}

  MoeBlockResult run() {
    run_router();
    get_token_counts_and_gather_indices();
    permute();
    first_gemm();
    result_.intermediate = act_and_mul(result_.first_gemm, shape_.I);
    result_.second_gemm =
        rounded(products(result_.intermediate, in_.down_proj, result_.token_counts_by_expert, shape_.H, shape_.I));
    unpermute();
    merge_weights();
    shared_expert();
    add_shared_expert();
    return std::move(result_);
  }

 private:
  double round(double x) const { return round_to(in_.rounding, x); }
  std::vector<double> rounded(std::vector<double> values) const {
    for (double& value : values) value = round(value);
    return values;
  }

  bool scales_input() const { return shape_.router == RouterKind::sigmoid; }

  void run_router() {
    result_.router_logits = rounded(products(x_, in_.gate, all_, shape_.E, shape_.H));
    for (int token = 0; token < tokens_; ++token) route(token);
  }

  void route(int token) {
    const auto logits = std::span(result_.router_logits).subspan(index(token, shape_.E), index(1, shape_.E));
    std::vector<std::int32_t> chosen;
    if (in_.selected_experts == nullptr) {
      chosen = select_experts(shape_.router, logits, shape_.top_k);
    } else {
      const std::int32_t* injected = in_.selected_experts + index(token, shape_.top_k);
      chosen.assign(injected, injected + shape_.top_k);
    }
    for (const double weight : weights_of_selection(shape_.router, logits, chosen)) result_.topk_weights.push_back(round(weight));
    result_.selected_experts.insert(result_.selected_experts.end(), chosen.begin(), chosen.end());
  }

  void get_token_counts_and_gather_indices() {
    for (int expert = local_.first; expert < local_.first + local_.count; ++expert) {
      const std::size_t before = result_.gather_indices.size();
      for (std::size_t slot = 0; slot < result_.selected_experts.size(); ++slot) {
        if (result_.selected_experts[slot] == expert) result_.gather_indices.push_back(static_cast<std::int32_t>(slot));
      }
      result_.token_counts_by_expert.push_back(static_cast<std::int64_t>(result_.gather_indices.size() - before));
    }
  }

  void permute() {
    const bool scales = scales_input() && in_.score_order == ScoreOrder::before_products;
    for (const int slot : result_.gather_indices) {
      const double* x = &x_[index(slot / shape_.top_k, shape_.H)];
      const double score = scales ? weight(slot) : 1;
      for (int column = 0; column < shape_.H; ++column)
        result_.routed_in.push_back(scales ? round(x[column] * score) : x[column]);
    }
  }

  void first_gemm() {
    result_.first_gemm = products(result_.routed_in, in_.gate_up_proj, result_.token_counts_by_expert, 2 * shape_.I, shape_.H);
    if (scales_input() && in_.score_order == ScoreOrder::after_products) {
      for (std::size_t row = 0; row < result_.gather_indices.size(); ++row) {
        double* sums = &result_.first_gemm[index(row, 2 * shape_.I)];
        for (int column = 0; column < 2 * shape_.I; ++column) sums[column] *= weight(result_.gather_indices[row]);
      }
    }
    result_.first_gemm = rounded(std::move(result_.first_gemm));
  }

  /// Of rows of gate and up, each `columns` wide.
  std::vector<double> act_and_mul(const std::vector<double>& rows, int columns) const {
    std::vector<double> activation;
    for (std::size_t at = 0; at < rows.size(); at += index(2, columns)) {
      for (std::size_t i = at; i < at + index(1, columns); ++i) {
        const double gate = rows[i];
        const double silu = round(gate / (1 + std::exp(-gate)));
        activation.push_back(round(silu * rows[i + index(1, columns)]));
      }
    }
    return activation;
  }

  void unpermute() {
    result_.hidden_states_unpermute.assign(index(index(tokens_, shape_.top_k), shape_.H), 0);
    for (std::size_t row = 0; row < result_.gather_indices.size(); ++row) {
      const double* from = &result_.second_gemm[index(row, shape_.H)];
      std::copy_n(from, shape_.H, &result_.hidden_states_unpermute[index(result_.gather_indices[row], shape_.H)]);
    }
  }

  void merge_weights() {
    result_.hidden_states_after_weight_merge.assign(index(tokens_, shape_.H), 0);
    for (std::size_t row = 0; row < result_.gather_indices.size(); ++row) {
      const int slot = result_.gather_indices[row];
      const double* y = &result_.second_gemm[index(row, shape_.H)];
      double* sum = &result_.hidden_states_after_weight_merge[index(slot / shape_.top_k, shape_.H)];
      for (int column = 0; column < shape_.H; ++column) {
        sum[column] = scales_input() ? sum[column] + y[column] : round(sum[column] + round(y[column] * weight(slot)));
      }
    }
    result_.hidden_states_after_weight_merge = rounded(std::move(result_.hidden_states_after_weight_merge));
  }

  void shared_expert() {
    if (in_.shared_gate_up_proj == nullptr) return;
    const int columns = shape_.shared_expert_I;
    result_.shared_first_gemm = rounded(products(x_, in_.shared_gate_up_proj, all_, 2 * columns, shape_.H));
    result_.shared_intermediate = act_and_mul(result_.shared_first_gemm, columns);
    result_.shared_expert_out = rounded(products(result_.shared_intermediate, in_.shared_down_proj, all_, shape_.H, columns));
  }

  void add_shared_expert() {
    result_.hidden_states = result_.hidden_states_after_weight_merge;
    for (std::size_t i = 0; i < result_.shared_expert_out.size(); ++i) {
      result_.hidden_states[i] = round(result_.hidden_states[i] + result_.shared_expert_out[i]);
    }
  }

  std::vector<double> products(const std::vector<double>& rows, const void* weights, const std::vector<std::int64_t>& counts,
                               int N, int K) const {
    return multiply({{weights, in_.dtype}, counts, N, K, in_.threads}, rows);
  }

  double weight(int slot) const { return result_.topk_weights[static_cast<std::size_t>(slot)]; }

  template <class Row>
  static std::size_t index(Row row, int columns) {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns);
  }

  const MoeBlockInputs& in_;
  const ModelShape& shape_;
  ExpertRange local_;
  int tokens_;
  std::vector<std::int64_t> all_ = {in_.tokens};  ///< the counts of one expert that sees every token
  std::vector<double> x_;
  MoeBlockResult result_;
};

}  // namespace

ExpertRange local_experts(const MoeBlockInputs& inputs) {
  const ExpertRange& range = inputs.experts;
  const int count = range.count == 0 ? inputs.shape.E - range.first : range.count;
  if (range.first < 0 || count < 1 || count > inputs.shape.E - range.first) {
    throw UsageError(fmt::format("experts [{}, {} + {}) are not among {}", range.first, range.first, count, inputs.shape.E));
  }
  return {range.first, count};
}

MoeBlockResult reference_moe_block(const MoeBlockInputs& inputs) {
  validate(inputs);
  return Block(inputs).run();
}

}  // namespace moe_tune
