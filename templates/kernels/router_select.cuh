// Which experts see a token, and with what weights. By a warp, with the token's logits in its registers.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A choice is the largest key of the warp, which is then struck out. Choice c stays with lane c.
#pragma once

#include "abi/router.cuh"
#include "kernels/router_scores.cuh"

namespace moe_tune {

template <class Problem>
class RouterSelect {
  static constexpr int top_k = Problem::top_k;
  using Scores = RouterScores<Problem>;
  using Choice = typename Scores::Choice;
  using Order = NumberOrder<Problem::type>;

 public:
  /// Selects for one token and stores the choices and their weights. Lane c gets choice c as an index among the local experts; -1
  /// for other processes' experts and for bad ones. All lanes of a warp call it.
  static MOE_DEVICE int run(const abi::RouterArgs& args, int token) {
    typename Scores::Keys keys;
    u32 largest = 0;
    float total = 1.0f;
    if (Scores::softmax || !args.inject) {
      keys.load(args.router_logits, token);
      largest = ptx::warp_max(keys.largest()) >> 16;
      if constexpr (Problem::kind == RouterKind::softmax) total = keys.sum_of_exponentials(Order::value(largest));
    }
    const bool all_nan = Scores::all_nan(largest);
    const auto choose = [&] { return all_nan ? first_experts() : keys.choose(); };
    const Choice choice = args.inject ? Scores::given(args.selected_experts, args.router_logits, args.status, token) : choose();
    store(args, token, choice, Scores::weight_of(choice, largest, total));
    const int local = choice.expert - Problem::first_expert;
    return choice.order != 0 && local >= 0 && local < Problem::local_experts ? local : -1;
  }

 private:
  static MOE_DEVICE int lane() { return static_cast<int>(ptx::lane_index()); }

  /// The choice among equals.
  static MOE_DEVICE Choice first_experts() { return {lane(), lane() < top_k ? Order::nan : 0}; }

  static MOE_DEVICE void store(const abi::RouterArgs& args, int token, const Choice& choice, float weight) {
    if (lane() >= top_k) return;
    const i64 slot = static_cast<i64>(token) * top_k + lane();
    if (!args.inject) ptx::store(args.selected_experts + slot, choice.expert);
    ptx::store(static_cast<u16*>(args.topk_weights) + slot, static_cast<u16>(ptx::pack<Problem::type>(weight, 0.0f)));
  }
};

}  // namespace moe_tune
