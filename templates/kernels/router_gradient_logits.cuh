// The gradient of a token's logits, from those of the weights of its experts and from elsewhere. By a warp for each token.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// Lane c has choice c, and every lane the gradients of experts lane, lane + 32, ...: what a choice adds to its expert's goes
// round by shuffles. The routing weights are made again from the logits, as in the router's selection but unrounded.
#pragma once

#include "abi/router_gradient.cuh"
#include "kernels/router_scores.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

template <class Problem>
class RouterGradientLogits {
  static constexpr int E = Problem::E;
  static constexpr int top_k = Problem::top_k;
  static constexpr int columns = (E + 7) / 8 * 8;
  using Scores = RouterScores<Problem>;
  using Choice = typename Scores::Choice;
  using Order = NumberOrder<Problem::type>;
  static_assert(abi::router_gradient_block_tokens == abi::router_gradient_threads / 32);

 public:
  static constexpr int shared_bytes = 0;

  static MOE_DEVICE void run(const abi::RouterGradientArgs& args) {
    const int there = count_tokens(args.token_count, args.tokens, args.status);
    const i64 token = static_cast<i64>(ptx::block_index()) * abi::router_gradient_block_tokens + ptx::thread_index() / 32;
    if (token < there) run(args, static_cast<int>(token));
  }

 private:
  /// Of this lane's experts.
  struct Gradients {
    float v[Scores::per_lane];

    /// What each lane has for the expert of its choice.
    MOE_DEVICE void add(const Choice& choice, float value) {
      const int mine = choice.order != 0 ? choice.expert : -1;
      MOE_UNROLL
      for (u32 c = 0; c < top_k; ++c) {
        const int chosen = ptx::shuffle(mine, c);
        const float given = ptx::shuffle_xor(value, ptx::lane_index() ^ c);
        MOE_UNROLL
        for (int i = 0; i < Scores::per_lane; ++i) {
          if (Scores::Keys::expert(i) == chosen) v[i] += given;
        }
      }
    }

    /// From those of the probabilities: p (d_p - mean), where `mean` is that of d_p.
    MOE_DEVICE void through_softmax(const typename Scores::Keys& keys, u32 largest, float total, float mean) {
      MOE_UNROLL
      for (int i = 0; i < Scores::per_lane; ++i) {
        v[i] = Scores::probability(keys.v[i] >> 16, largest, total) * (v[i] - mean);
      }
    }
  };

  static MOE_DEVICE void run(const abi::RouterGradientArgs& args, int token) {
    const Choice choice = Scores::given(args.selected_experts, args.router_logits, args.status, token);
    const float d_weight = load_d_weight(args, token, choice);
    Gradients gradients = {};
    if constexpr (Problem::kind == RouterKind::sigmoid) {
      // d_weight is that of the weight's logarithm; 1 - sigmoid(x) without the difference.
      gradients.add(choice, choice.order != 0 ? sigmoid(-Order::value(choice.order)) * d_weight : 0.0f);
    } else {
      constexpr bool over_all = Problem::kind == RouterKind::softmax;
      typename Scores::Keys keys;
      keys.load(args.router_logits, token);
      const u32 largest = ptx::warp_max(keys.largest()) >> 16;
      const float total = over_all ? keys.sum_of_exponentials(Order::value(largest)) : 1.0f;
      const float weight = Scores::weight_of(choice, largest, total);
      const float mean = Scores::warp_sum(weight * d_weight);
      gradients.add(choice, over_all ? d_weight : weight * (d_weight - mean));
      if constexpr (over_all) gradients.through_softmax(keys, largest, total, mean);
    }
    store(args, token, gradients);
  }

  /// That of this lane's choice; 0 where there is none, and for other processes' experts.
  static MOE_DEVICE float load_d_weight(const abi::RouterGradientArgs& args, int token, const Choice& choice) {
    const int local = choice.expert - Problem::first_expert;
    if (choice.order == 0 || local < 0 || local >= Problem::local_experts) return 0.0f;
    return ptx::load_constant(args.d_topk_weights + static_cast<i64>(token) * top_k + ptx::lane_index());
  }

  /// With what comes from elsewhere, rounded; 0 past the last expert.
  static MOE_DEVICE void store(const abi::RouterGradientArgs& args, int token, const Gradients& gradients) {
    const u16* const others = static_cast<const u16*>(args.d_router_logits) + static_cast<i64>(token) * E;
    u16* const row = static_cast<u16*>(args.d_logits) + static_cast<i64>(token) * columns;
    MOE_UNROLL
    for (int i = 0; i < Scores::per_lane; ++i) {
      const int expert = Scores::Keys::expert(i);
      float sum = expert < E ? gradients.v[i] : 0.0f;
      if (args.d_router_logits != nullptr && expert < E) sum += ptx::unpack<Problem::type>(ptx::load_constant(others + expert));
      if (expert < columns) ptx::store(row + expert, static_cast<u16>(ptx::pack<Problem::type>(sum, 0.0f)));
    }
  }
};

}  // namespace moe_tune
