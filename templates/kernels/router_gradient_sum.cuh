// The gradient of a router's weight from its partial sums: added up in float32, in their order, and rounded at most once.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A thread has four elements, of which it loads eight sums at a time.
#pragma once

#include "abi/router_gradient.cuh"
#include "epilogue/add_rounded.cuh"
#include "ptx/global.cuh"
#include "schedule/router_problem.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

template <class Problem>
class RouterGradientSum {
  static constexpr i64 elements = static_cast<i64>(Problem::E) * Problem::H;
  static constexpr int in_flight = 8;
  static_assert(abi::router_gradient_sum_elements == 4 * abi::router_gradient_threads && elements % 4 == 0);

 public:
  static constexpr int shared_bytes = 0;

  static MOE_DEVICE void run(const abi::RouterGradientArgs& args) {
    const int there = count_tokens(args.token_count, args.tokens, args.status);
    const i64 first = (static_cast<i64>(ptx::block_index()) * abi::router_gradient_threads + ptx::thread_index()) * 4;
    if (first >= elements) return;
    if (there == 0 && args.accumulate) return;  // adding zeros would change the bits of -0
    const Sums sums = add_up(args.d_weight_sums + first, there == 0 ? 0 : (there - 1) / args.split_tokens + 1);
    if (args.d_weight_float32) {
      store_float32(static_cast<float*>(args.d_weight) + first, sums, args.accumulate);
    } else {
      store_rounded(static_cast<u16*>(args.d_weight) + first, sums, args.accumulate);
    }
  }

 private:
  struct alignas(16) Sums {
    float v[4];

    MOE_DEVICE void add(const Sums& more) {
      MOE_UNROLL
      for (int j = 0; j < 4; ++j) v[j] += more.v[j];
    }
  };
  struct alignas(8) Pairs {
    u32 v[2];
  };

  static MOE_DEVICE Sums add_up(const float* first, int splits) {
    Sums sums = {};
    MOE_NO_UNROLL
    for (int split = 0; split < splits; split += in_flight) {
      Sums more[in_flight] = {};
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        if (split + i < splits) more[i] = ptx::load(reinterpret_cast<const Sums*>(first + (split + i) * elements));
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) sums.add(more[i]);
    }
    return sums;
  }

  static MOE_DEVICE void store_float32(float* target, Sums sums, bool accumulate) {
    if (accumulate) sums.add(ptx::load(reinterpret_cast<const Sums*>(target)));
    Words4 words;
    MOE_UNROLL
    for (int j = 0; j < 4; ++j) words.v[j] = ptx::float_bits(sums.v[j]);
    ptx::store(static_cast<void*>(target), words);
  }

  static MOE_DEVICE void store_rounded(u16* target, const Sums& sums, bool accumulate) {
    Pairs* const pairs = reinterpret_cast<Pairs*>(target);
    Pairs result = accumulate ? ptx::load(pairs) : Pairs{};
    MOE_UNROLL
    for (int j = 0; j < 2; ++j) {
      const float* const two = sums.v + j * 2;
      result.v[j] =
          accumulate ? add_rounded<Problem::type>(result.v[j], two[0], two[1]) : ptx::pack<Problem::type>(two[0], two[1]);
    }
    ptx::store(pairs, result);
  }
};

}  // namespace moe_tune
