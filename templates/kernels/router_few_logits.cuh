// The logits of a router where there are few tokens: latency counts, and nothing is read twice by a block.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A block makes 16 tokens x 8 experts; its warps share the columns of H, each with partial sums of its own, which are added in
// the order of the warps. Operands go straight from global memory to the MMA's registers: the order of K within a product is free
// as long as both operands have the same, so a lane loads 8 consecutive columns of its row, and these are what it holds of two
// MMA steps:
//
//     lane (row g, quarter t)   columns 8t 8t+1 | 8t+2 8t+3 | 8t+4 8t+5 | 8t+6 8t+7   of 32
//     MMA step                  0, K low        | 0, K high | 1, K low  | 1, K high
//
// All loads of 4 x 32 columns are in flight before the first product.
#pragma once

#include "abi/router.cuh"
#include "ptx/mma.cuh"
#include "ptx/shared.cuh"
#include "ptx/sync.cuh"
#include "schedule/router_problem.cuh"
#include "schedule/token_count.cuh"

namespace moe_tune {

template <class Problem>
class RouterFewLogits {
  static constexpr int warps = abi::router_few_threads / 32;
  static constexpr int tile = abi::router_few_tokens * abi::router_few_experts;
  static constexpr int in_flight = 4;

 public:
  static constexpr int shared_bytes = warps * tile * 4;
  static constexpr int expert_tiles = (Problem::E + abi::router_few_experts - 1) / abi::router_few_experts;

  static MOE_DEVICE void run(const abi::RouterArgs& args) {
    const int block = static_cast<int>(ptx::block_index());
    const int token = block / expert_tiles * abi::router_few_tokens;
    const int expert = block % expert_tiles * abi::router_few_experts;
    // Tokens that are not there are read all the same: nobody waits for their count before the end.
    const int tokens = count_tokens(args.token_count, args.tokens, args.status);
    float sums[4] = {};
    multiply(sums, args, token, expert);
    const int lane = static_cast<int>(ptx::lane_index());
    const u32 partial = ptx::shared_base() + ptx::thread_index() / 32 * (tile * 4);
    MOE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const int column = lane % 4 * 2 + i % 2;
      ptx::store_shared(partial + static_cast<u32>(row * abi::router_few_experts + column) * 4, sums[i]);
    }
    ptx::block_barrier();
    const int element = static_cast<int>(ptx::thread_index());
    const int row = token + element / abi::router_few_experts;
    const int column = expert + element % abi::router_few_experts;
    if (element >= tile || row >= tokens || column >= Problem::E) return;
    float sum = 0.0f;
    MOE_UNROLL
    for (int warp = 0; warp < warps; ++warp)
      sum += ptx::load_shared_float(ptx::shared_base() + static_cast<u32>(warp * tile + element) * 4);
    ptx::store(static_cast<u16*>(args.router_logits) + static_cast<i64>(row) * Problem::E + column,
               static_cast<u16>(ptx::pack<Problem::type>(sum, 0.0f)));
  }

 private:
  /// What a lane reads of 32 columns.
  struct Operands {
    Words4 x[2];  // of tokens g and g + 8
    Words4 w;     // of expert g
  };

  static MOE_DEVICE void multiply(float (&sums)[4], const abi::RouterArgs& args, int token, int expert) {
    const int lane = static_cast<int>(ptx::lane_index());
    const int row = lane / 4;
    const int first = static_cast<int>(ptx::thread_index()) / 32 * 32;
    MOE_NO_UNROLL
    for (int start = first; start < Problem::H; start += warps * 32 * in_flight) {
      Operands operands[in_flight];
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int column = start + i * warps * 32 + lane % 4 * 8;
        operands[i].x[0] = load(args.hidden_states, token + row, args.tokens, column);
        operands[i].x[1] = load(args.hidden_states, token + row + 8, args.tokens, column);
        operands[i].w = load(args.weight, expert + row, Problem::E, column);
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        MOE_UNROLL
        for (int step = 0; step < 2; ++step) {
          const Words4* const x = operands[i].x;
          const u32 a[4] = {x[0].v[step * 2], x[1].v[step * 2], x[0].v[step * 2 + 1], x[1].v[step * 2 + 1]};
          ptx::mma_m16n8k16<Problem::type>(sums, a, operands[i].w.v[step * 2], operands[i].w.v[step * 2 + 1]);
        }
      }
    }
  }

  /// Eight columns of a row; zeros for a row that is not there and past H.
  static MOE_DEVICE Words4 load(const void* rows, int row, int count, int column) {
    if (row >= count || column >= Problem::H) return {};
    return ptx::load_constant_16(static_cast<const u16*>(rows) + static_cast<i64>(row) * Problem::H + column);
  }
};

}  // namespace moe_tune
