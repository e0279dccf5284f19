// The backward of the reference against differences of its forward, in float64.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "runtime/reference/moe_block_gradient.hpp"
#include "runtime/reference/random.hpp"

using namespace moe_tune;

namespace {

constexpr int E = 6;
constexpr int H = 8;
constexpr int I = 5;
constexpr int S = 4;
constexpr int tokens = 5;

/// One block, small enough for a forward of every element.
struct Case {
  RouterKind router = RouterKind::softmax;
  int top_k = 1;
  bool shared = false;
  bool d_logits = false;  ///< the loss has the logits too
  bool missing = false;   ///< one slot's expert does not exist
  ExpertRange experts{0, E};

  std::string describe() const {
    return fmt::format("{} top_k {} shared {} d_logits {} missing {} experts [{}, +{})", to_string(router), top_k, shared,
                       d_logits, missing, experts.first, experts.count);
  }
};

std::vector<Case> cases() {
  std::vector<Case> result;
  for (const RouterKind router : {RouterKind::softmax, RouterKind::softmax_norm_topk, RouterKind::sigmoid}) {
    for (const int top_k : {1, 3, E}) {
      for (const bool rest : {false, true}) {
        for (const ExpertRange& experts : {ExpertRange{0, E}, ExpertRange{0, 2}, ExpertRange{2, 3}}) {
          result.push_back({router, top_k, rest, !rest, rest, experts});
          result.push_back({router, top_k, rest, rest, false, experts});
        }
      }
    }
  }
  return result;
}

std::vector<double> random_values(int count, double scale, std::uint32_t seed) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(scale * random_normal(seed, static_cast<std::uint64_t>(i)));
  return values;
}

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// The tensors of a case and its loss, the sum over d_out * out + d_router_logits * router_logits.
class Loss {
 public:
  explicit Loss(const Case& c) : case_(c) {
    const int L = c.experts.count;
    tensors_["hidden_states"] = random_values(tokens * H, 1, 1);
    tensors_["gate"] = random_values(E * H, 0.4, 2);
    tensors_["gate_up_proj"] = random_values(L * 2 * I * H, 0.4, 3);
    tensors_["down_proj"] = random_values(L * H * I, 0.4, 4);
    if (c.shared) {
      tensors_["shared_gate_up_proj"] = random_values(2 * S * H, 0.4, 5);
      tensors_["shared_down_proj"] = random_values(H * S, 0.4, 6);
    }
    // Fixed, or the differences would see another selection.
    for (int token = 0; token < tokens; ++token) {
      for (int choice = 0; choice < c.top_k; ++choice) selected_.push_back((token * 5 + choice) % E);
    }
    if (c.missing) selected_[static_cast<std::size_t>(c.top_k) * 2] = c.top_k == 1 ? E : -1;
  }

  std::map<std::string, std::vector<double>>& tensors() { return tensors_; }
  const std::vector<std::int32_t>& selected() const { return selected_; }
  const std::vector<double>& d_out() const { return d_out_; }
  std::vector<double> topk_weights() const { return reference_moe_block(inputs()).topk_weights; }

  double operator()() const {
    const MoeBlockResult result = reference_moe_block(inputs());
    return dot(d_out_, result.hidden_states) + (case_.d_logits ? dot(d_router_logits_, result.router_logits) : 0);
  }

  MoeBlockGradient gradient() const {
    return reference_moe_block_gradient(inputs(), d_out_.data(), case_.d_logits ? d_router_logits_.data() : nullptr);
  }

 private:
  MoeBlockInputs inputs() const {
    MoeBlockInputs in;
    in.shape = {.name = "",
                .E = E,
                .top_k = case_.top_k,
                .H = H,
                .I = I,
                .router = case_.router,
                .shared_expert_I = case_.shared ? S : 0};
    in.tokens = tokens;
    in.dtype = in.rounding = Storage::float64;
    in.hidden_states = tensors_.at("hidden_states").data();
    in.gate = tensors_.at("gate").data();
    in.gate_up_proj = tensors_.at("gate_up_proj").data();
    in.down_proj = tensors_.at("down_proj").data();
    if (case_.shared) {
      in.shared_gate_up_proj = tensors_.at("shared_gate_up_proj").data();
      in.shared_down_proj = tensors_.at("shared_down_proj").data();
    }
    in.selected_experts = selected_.data();
    in.experts = case_.experts;
    in.threads = 1;
    return in;
  }

  Case case_;
  std::map<std::string, std::vector<double>> tensors_;
  std::vector<std::int32_t> selected_;
  std::vector<double> d_out_ = random_values(tokens * H, 1, 7);
  std::vector<double> d_router_logits_ = random_values(tokens * E, 1, 8);
};

/// The derivative of value(change) at 0. The error is of the fourth order: about 1e-12.
template <class Value>
double derivative(const Value& value) {
  constexpr double step = 1e-3;
  return (8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))) / (12 * step);
}

/// The derivative of the loss as `tensor` moves along `direction`.
double derivative(Loss& loss, std::vector<double>& tensor, const std::vector<double>& direction) {
  const std::vector<double> before = tensor;
  const double result = derivative([&](double step) {
    for (std::size_t i = 0; i < tensor.size(); ++i) tensor[i] = before[i] + step * direction[i];
    return loss();
  });
  tensor = before;
  return result;
}

std::map<std::string, std::vector<double>> by_tensor(const MoeBlockGradient& gradient) {
  std::map<std::string, std::vector<double>> result = {{"hidden_states", gradient.d_hidden_states},
                                                       {"gate", gradient.d_gate},
                                                       {"gate_up_proj", gradient.d_gate_up_proj},
                                                       {"down_proj", gradient.d_down_proj},
                                                       {"shared_gate_up_proj", gradient.d_shared_gate_up_proj},
                                                       {"shared_down_proj", gradient.d_shared_down_proj}};
  std::erase_if(result, [](const auto& tensor) { return tensor.second.empty(); });
  return result;
}

/// Relative to the size of what the tensor's elements have.
constexpr double tolerance = 1e-8;

}  // namespace

TEST_CASE("moe block gradient: agrees with differences of the loss, in every tensor") {
  for (const Case& c : cases()) {
    Loss loss(c);
    const auto gradients = by_tensor(loss.gradient());
    REQUIRE(gradients.size() == loss.tensors().size());
    std::uint32_t seed = 100;
    for (const auto& [name, gradient] : gradients) {
      CAPTURE(c.describe(), name);
      std::vector<double>& tensor = loss.tensors().at(name);
      REQUIRE(gradient.size() == tensor.size());
      const double size = std::sqrt(dot(gradient, gradient));
      for (int repeat = 0; repeat < 3; ++repeat) {
        const std::vector<double> direction = random_values(static_cast<int>(tensor.size()), 1, ++seed);
        const double along = dot(gradient, direction);
        CHECK(std::abs(derivative(loss, tensor, direction) - along) <= tolerance * std::max(size, 1e-3));
      }
      const double of_element = size / std::sqrt(static_cast<double>(tensor.size()));
      for (std::size_t i = seed % 7; i < tensor.size(); i += 7) {
        std::vector<double> direction(tensor.size());
        direction[i] = 1;
        CAPTURE(i);
        CHECK(std::abs(derivative(loss, tensor, direction) - gradient[i]) <= tolerance * std::max(of_element, 1e-3));
      }
    }
  }
}

// A weight is no tensor of the block's, but what it multiplies is: of an expert by itself, the row on its way in or out.
TEST_CASE("moe block gradient: of a routing weight, agrees with differences of its expert's output") {
  for (const Case& c : cases()) {
    Loss loss(c);
    const MoeBlockGradient gradient = loss.gradient();
    const std::vector<double> weights = loss.topk_weights();
    for (std::size_t slot = 0; slot < gradient.d_topk_weights.size(); ++slot) {
      const int local = loss.selected()[slot] - c.experts.first;
      CAPTURE(c.describe(), slot);
      if (loss.selected()[slot] < 0 || local < 0 || local >= c.experts.count) {
        CHECK(gradient.d_topk_weights[slot] == 0);
        continue;
      }
      const std::size_t token = slot / static_cast<std::size_t>(c.top_k);
      const auto x = std::span(loss.tensors().at("hidden_states")).subspan(token * H, H);
      const auto d_out = std::span(loss.d_out()).subspan(token * H, H);
      const bool scales_input = c.router == RouterKind::sigmoid;
      const auto value = [&](double weight) {
        std::vector<double> row(x.begin(), x.end());
        for (double& element : row) element *= scales_input ? weight : 1;
        const std::vector<double> gate(H);  // of one expert: its weight is 1
        MoeBlockInputs in;
        in.shape = {.name = "", .E = 1, .top_k = 1, .H = H, .I = I, .router = RouterKind::softmax};
        in.tokens = 1;
        in.dtype = Storage::float64;
        in.hidden_states = row.data();
        in.gate = gate.data();
        in.gate_up_proj = &loss.tensors().at("gate_up_proj")[static_cast<std::size_t>(local) * 2 * I * H];
        in.down_proj = &loss.tensors().at("down_proj")[static_cast<std::size_t>(local) * H * I];
        in.threads = 1;
        return (scales_input ? 1 : weight) * dot(d_out, reference_moe_block(in).hidden_states);
      };
      CHECK(gradient.d_topk_weights[slot] ==
            Approx(derivative([&](double step) { return value(weights[slot] + step); })).epsilon(tolerance));
    }
  }
}
