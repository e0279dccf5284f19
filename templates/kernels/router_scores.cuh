// What a router makes of a token's logits around a selection: keys, exponentials, the weights of choices. By a warp.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A logit and its expert are one 32-bit key, whose order is that of the selection: a larger key is a larger logit, or an equal
// one of a lower expert.
//
//     bits 31-16  the logit's 16 bits, made to order as integers: NaN above all, -0 as 0
//     bits 15-0   0xffff - expert
//
// Exponentials are ex2.approx of a float32 difference: weights are right to about 1e-6, far below what they are rounded to.
#pragma once

#include "abi/grouped_gemm.cuh"
#include "epilogue/swiglu.cuh"
#include "ptx/global.cuh"
#include "ptx/reduce.cuh"
#include "ptx/sync.cuh"
#include "schedule/router_problem.cuh"

namespace moe_tune {

/// The order of 16-bit numbers as that of integers. None is 0.
template <DType Type>
struct NumberOrder {
  static constexpr u32 infinity_bits = Type == DType::bf16 ? 0x7f80u : 0x7c00u;
  static constexpr u32 nan = 0xffffu;
  static constexpr u32 infinity = infinity_bits | 0x8000u;
  static constexpr u32 minus_infinity = 0x7fffu ^ infinity_bits;

  static MOE_DEVICE u32 of(u16 bits) {
    const u32 magnitude = bits & 0x7fffu;
    if (magnitude > infinity_bits) return nan;
    if (magnitude == 0) return 0x8000u;
    return (bits & 0x8000u) != 0 ? 0x7fffu ^ magnitude : bits | 0x8000u;
  }
  /// The number again.
  static MOE_DEVICE float value(u32 order) {
    return ptx::unpack<Type>(static_cast<u16>((order & 0x8000u) != 0 ? order & 0x7fffu : order ^ 0xffffu));
  }
};

template <class Problem>
class RouterScores {
  static constexpr int E = Problem::E;
  static constexpr int top_k = Problem::top_k;
  using Order = NumberOrder<Problem::type>;

 public:
  static constexpr bool softmax = Problem::kind != RouterKind::sigmoid;
  /// Experts of a lane: lane, lane + 32, ...
  static constexpr int per_lane = (E + 31) / 32;

  /// What lane c has of choice c.
  struct Choice {
    int expert;
    u32 order;  // of its logit; 0 where there is no choice, or a bad one
  };

  /// Those of a lane's experts: lane, lane + 32, ...; 0 past the last expert and where one has been chosen.
  struct Keys {
    u32 v[per_lane];

    MOE_DEVICE void load(const void* router_logits, int token) {
      const u16* const logits = logits_of(router_logits, token);
      u16 bits[per_lane];
      MOE_UNROLL
      for (int i = 0; i < per_lane; ++i) bits[i] = expert(i) < E ? ptx::load_constant(logits + expert(i)) : u16{0};
      MOE_UNROLL
      for (int i = 0; i < per_lane; ++i) {
        v[i] = expert(i) < E ? Order::of(bits[i]) << 16 | (0xffffu - static_cast<u32>(expert(i))) : 0;
      }
    }

    MOE_DEVICE u32 largest() const {
      u32 key = v[0];
      MOE_UNROLL
      for (int i = 1; i < per_lane; ++i) key = v[i] > key ? v[i] : key;
      return key;
    }

    MOE_DEVICE float sum_of_exponentials(float base) const {
      float sum = 0.0f;
      MOE_UNROLL
      for (int i = 0; i < per_lane; ++i) {
        if (v[i] != 0) sum += exponential(Order::value(v[i] >> 16) - base);
      }
      return warp_sum(sum);
    }

    MOE_DEVICE Choice choose() {
      Choice choice = {0, 0};
      MOE_UNROLL
      for (int c = 0; c < top_k; ++c) {
        const u32 key = ptx::warp_max(largest());
        MOE_UNROLL
        for (int i = 0; i < per_lane; ++i) v[i] = v[i] == key ? 0 : v[i];
        if (lane() == c) choice = {static_cast<int>(0xffffu - (key & 0xffffu)), key >> 16};
      }
      return choice;
    }

    static MOE_DEVICE int expert(int i) { return i * 32 + lane(); }
  };

  static MOE_DEVICE float exponential(float x) {
    constexpr float log2_e = 1.4426950408889634f;
    return ptx::exp2_approx(x * log2_e);
  }

  static MOE_DEVICE float warp_sum(float value) {
    MOE_UNROLL
    for (u32 mask = 16; mask > 0; mask /= 2) value += ptx::shuffle_xor(value, mask);
    return value;
  }

  /// A NaN or an infinity makes NaN of a whole softmax, and so do logits that are all -infinity. `largest`: of the token's
  /// logits.
  static MOE_DEVICE bool all_nan(u32 largest) {
    return softmax && (largest >= Order::infinity || largest == Order::minus_infinity);
  }

  /// That of a logit in the softmax over all: `order` is the logit's, `total` the sum of all exponentials relative to the
  /// largest.
  static MOE_DEVICE float probability(u32 order, u32 largest, float total) {
    if (all_nan(largest)) return Order::value(Order::nan);
    return exponential(Order::value(order) - Order::value(largest)) * ptx::reciprocal_approx(total);
  }

  /// Choice c of a selection that is made; a bad one is reported.
  static MOE_DEVICE Choice given(const int* selected_experts, const void* router_logits, u32* status, int token) {
    if (lane() >= top_k) return {0, 0};
    const int expert = ptx::load(selected_experts + static_cast<i64>(token) * top_k + lane());
    if (expert < 0 || expert >= E) {
      ptx::set_status(status, abi::status_bad_selected_expert);
      return {expert, 0};
    }
    return {expert, Order::of(ptx::load_constant(logits_of(router_logits, token) + expert))};
  }

  /// Unrounded; `total` is that of a softmax over all.
  static MOE_DEVICE float weight_of(const Choice& choice, u32 largest, float total) {
    const bool exists = choice.order != 0;
    if (all_nan(largest)) return exists ? Order::value(Order::nan) : 0.0f;
    if constexpr (Problem::kind == RouterKind::sigmoid) {
      return exists ? sigmoid(Order::value(choice.order)) : 0.0f;
    } else if constexpr (Problem::kind == RouterKind::softmax) {
      return exists ? probability(choice.order, largest, total) : 0.0f;
    } else {
      // Relative to the largest of the chosen: theirs would be nothing beside a logit that was not, where the selection is given.
      const u32 base = ptx::warp_max(choice.order);
      const bool any = base != 0 && base != Order::minus_infinity;
      const float share = exists && any ? exponential(Order::value(choice.order) - Order::value(base)) : 0.0f;
      const float sum = warp_sum(share);
      return exists && any ? share * ptx::reciprocal_approx(sum) : 0.0f;
    }
  }

 private:
  static MOE_DEVICE int lane() { return static_cast<int>(ptx::lane_index()); }
  static MOE_DEVICE const u16* logits_of(const void* router_logits, int token) {
    return static_cast<const u16*>(router_logits) + static_cast<i64>(token) * E;
  }
};

}  // namespace moe_tune
